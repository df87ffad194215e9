"""What was said, as text to be searched: one text a message, wherever in it the words stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.decode.jsonsafe import as_dict
from app.decode.values import Decoded, Message

_IN_FIELDS = frozenset(("text", "refusal", "reasoning"))
"""Kinds of parts whose words are in a field of the message, too."""
_NOT_SAID = frozenset(
    ("type", "id", "sha256", "file_id", "media_type", "status", "encrypted_content", "data")
)
"""Names in parts whose strings are no words."""
MOST_DEPTH = 12


def said_texts(decoded: Decoded) -> list[str]:
    """A text for each message, in their order ('' where nothing was said), and one for an error that was told."""
    texts = [_text_of(each) for each in decoded.messages]
    if decoded.error_message:
        texts.append(decoded.error_message)
    return texts


def _text_of(message: Message) -> str:
    if message.text and not (message.parts or message.tool_calls or message.reasoning or message.refusal):
        return message.text
    return "\n".join(_words_of(message))


def _words_of(message: Message) -> Iterator[str]:
    for field in (message.reasoning, message.text, message.refusal):
        if field:
            yield field
    for call in message.tool_calls:
        if call.name:
            yield call.name
        if call.arguments:
            yield call.arguments
    for part in message.parts:
        if as_dict(part).get("type") not in _IN_FIELDS:
            yield from _strings_in(part, MOST_DEPTH)


def _strings_in(value: object, depth: int) -> Iterator[str]:
    """The strings of a part that was kept as it came, its names not among them."""
    if isinstance(value, str):
        yield value
    elif depth == 0:
        return
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in _NOT_SAID:
                yield from _strings_in(each, depth - 1)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _strings_in(each, depth - 1)
