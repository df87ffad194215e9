"""Previews: the few words that tell an exchange in a list."""

from __future__ import annotations

from app.decode.amounts import size_text, whole_number
from app.decode.jsonsafe import TextCleaner
from app.decode.values import Answer, Message

PREVIEW_CHARACTERS = 200
FIRST_CHARACTERS = 300
SCANNED_CHARACTERS = 4_096
SCANNED_MESSAGES = 256


def preview_text(text: str | None, cleaner: TextCleaner) -> str | None:
    """At most 200 characters of the text with white space collapsed; None where nothing is left."""
    if not text:
        return None
    # Nearly always enough, at an eighth of the cost.
    collapsed = " ".join(cleaner.text(text[:FIRST_CHARACTERS]).split())
    if len(collapsed) <= PREVIEW_CHARACTERS and len(text) > FIRST_CHARACTERS:
        head = cleaner.text(text[: SCANNED_CHARACTERS * 2].lstrip()[:SCANNED_CHARACTERS])
        collapsed = " ".join(head.split())
    if len(collapsed) > PREVIEW_CHARACTERS:
        collapsed = collapsed[: PREVIEW_CHARACTERS - 1] + "…"
    return collapsed or None


def preview_request(messages: list[Message], cleaner: TextCleaner) -> str | None:
    """What the user said last, within reach of the end, else the last text there is."""
    fallback: str | None = None
    for message in reversed(messages[-SCANNED_MESSAGES:]):
        said = preview_text(message.text, cleaner) or _preview_parts(message)
        if said and message.role == "user":
            return said
        fallback = fallback or said
    return fallback


def preview_answer(answer: Answer, cleaner: TextCleaner) -> str | None:
    """The decoder's own words where it has any, else what was answered first: text, refusal, calls, an error."""
    if answer.summary and answer.error is None:
        return preview_text(answer.summary, cleaner)
    for message in answer.messages:
        said = preview_text(message.text, cleaner) or preview_text(message.refusal, cleaner)
        said = said or _preview_calls(message, cleaner) or _preview_parts(message)
        if said:
            return said
    if answer.error is not None:
        return preview_text(answer.error.message or answer.error.code or answer.error.type, cleaner)
    return preview_text(answer.summary, cleaner)


def _preview_calls(message: Message, cleaner: TextCleaner) -> str | None:
    names = [f"{call.name or 'tool'}()" for call in message.tool_calls[:16]]
    return preview_text(", ".join(names), cleaner)


def _preview_parts(message: Message) -> str | None:
    """Content without text: `[image]`, `[file report.pdf, 2.1 MB]`, or the words of a spoken answer."""
    for part in message.parts[:16]:
        if isinstance(part, dict):
            transcript = part.get("transcript")
            if isinstance(transcript, str) and transcript.strip():
                return " ".join(transcript[:SCANNED_CHARACTERS].split())[:PREVIEW_CHARACTERS]
            if isinstance(part.get("type"), str):
                return f"[{describe_media(part)}]"[:PREVIEW_CHARACTERS]
    return None


def describe_media(part: dict[str, object]) -> str:
    """`image`, `file report.pdf, 2.1 MB`: the type of a part, its name and its size."""
    words = [
        str(part.get("type")),
        *(name for name in [part.get("filename")] if isinstance(name, str) and name),
    ]
    size = whole_number(part.get("size_bytes"))
    return " ".join(words) + ("" if size is None else f", {size_text(size)}")
