"""Content of a message: text, or a list of typed parts, in one form whichever API spells them.

{"type": "text", "text"}, {"type": "refusal", "refusal"}, {"type": "reasoning", "text"},
media (media.py), and whatever else there is as it came, its long strings cut.
"""

from __future__ import annotations

from dataclasses import field

from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str
from app.decode.media import MEDIA_KINDS, read_media
from app.frozen import value

PART_STRING_CHARACTERS = 1_024
"""Longer strings in parts that are kept as they came are cut: the body has them whole."""

TEXT_PARTS = ("text", "input_text", "output_text", "summary_text", "reasoning_text")
REASONING_PARTS = ("thinking", "reasoning", "redacted_thinking")


@value
class Content:
    """What the content of a message holds."""

    text: str | None
    parts: list[object] = field(default_factory=list)
    """Empty where there is nothing but one text."""
    refusal: str | None = None
    reasoning: str | None = None


def read_content(value: object, cleaner: TextCleaner) -> Content:
    """The content in any of its forms; None, and what is no content, has no text."""
    if isinstance(value, str):
        return Content(cleaner.text(value))
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        value = [value]
    if not isinstance(value, list):
        return Content(None, [cleaner.json(value, PART_STRING_CHARACTERS)] if value else [])
    parts = [read_part(part, cleaner) for part in value]
    if len(parts) == 1 and parts[0].keys() == {"type", "text"} and parts[0]["type"] == "text":
        return Content(str(parts[0]["text"]))
    return Content(
        text=_joined_of(parts, "text", "text", cleaner) or "",
        parts=list(parts),
        refusal=_joined_of(parts, "refusal", "refusal", cleaner),
        reasoning=_joined_of(parts, "reasoning", "text", cleaner),
    )


def read_part(part: object, cleaner: TextCleaner) -> dict[str, object]:
    """One part of a content in its one form, safe for jsonb; text whole."""
    if isinstance(part, str):
        return {"type": "text", "text": cleaner.text(part)}
    fields = as_dict(part)
    kind = fields.get("type")
    if kind is None and isinstance(fields.get("text"), str):
        kind = "text"
    if not isinstance(kind, str):
        return {"type": "unknown", "value": cleaner.json(part, PART_STRING_CHARACTERS)}
    if kind in TEXT_PARTS:
        return _text_part(fields, cleaner)
    if kind in MEDIA_KINDS:
        return read_media(fields, MEDIA_KINDS[kind], cleaner)
    if kind == "refusal":
        return {"type": "refusal", "refusal": cleaner.text(as_str(fields.get("refusal")) or "")}
    if kind in REASONING_PARTS:
        return _reasoning_part(fields, cleaner)
    return as_dict(cleaner.json(fields, PART_STRING_CHARACTERS))


def text_part(text: str) -> dict[str, object]:
    """Clean text as a part."""
    return {"type": "text", "text": text}


def joined(texts: list[str], cleaner: TextCleaner) -> str | None:
    """All texts in one; None where they are empty."""
    return cleaner.text("".join(texts)) or None


def joined_text(value: object) -> str:
    """Text wherever thoughts are put: a string, `text`, `thinking`, `summary`, `content`, or lists of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(joined_text_of_part(item) for item in value)
    return joined_text_of_part(value)


def joined_text_of_part(part: object) -> str:
    """Text of one part of a thought."""
    if isinstance(part, str):
        return part
    fields = as_dict(part)
    for name in ("text", "thinking", "summary", "content"):
        value = fields.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value:
            return "".join(as_str(item) or as_str(as_dict(item).get("text")) or "" for item in as_list(value))
    return ""


def _text_part(fields: dict[str, object], cleaner: TextCleaner) -> dict[str, object]:
    """A text with what it cites; log probabilities stay in the bytes."""
    text = as_str(fields.get("text"))
    if text is None:
        # The assistants API nests it: {"text": {"value", "annotations"}}.
        nested = as_dict(fields.get("text"))
        text, fields = as_str(nested.get("value")) or "", nested
    part: dict[str, object] = {"type": "text", "text": cleaner.text(text)}
    for name in ("annotations", "citations"):
        if fields.get(name):
            part[name] = cleaner.json(fields[name], PART_STRING_CHARACTERS)
    return part


def _reasoning_part(fields: dict[str, object], cleaner: TextCleaner) -> dict[str, object]:
    """A thought; what is encrypted stays in the bytes, and is only said to be there."""
    text = joined_text(fields.get("content")) or joined_text(fields)
    part: dict[str, object] = {"type": "reasoning", "text": cleaner.text(text)}
    if not text and (fields.get("encrypted_content") or fields.get("data")):
        part["encrypted"] = True
    return part


def _joined_of(parts: list[dict[str, object]], kind: str, name: str, cleaner: TextCleaner) -> str | None:
    """The texts of all parts of a kind in one; halves of a character may meet here."""
    return joined([str(part[name]) for part in parts if part.get("type") == kind and name in part], cleaner)
