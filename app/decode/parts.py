"""Content of a message: text, or a list of typed parts, as chat completions and responses spell them."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str

PART_STRING_CHARACTERS = 1_024
"""Longer strings in parts other than text (images and files in base64) are cut: the body has them whole."""

TEXT_PARTS = ("text", "input_text", "output_text", "summary_text", "reasoning_text")
REASONING_PARTS = ("thinking", "reasoning")


@dataclass(frozen=True, slots=True)
class Content:
    """What the content of a message holds."""

    text: str | None
    parts: list[object] = field(default_factory=list)
    refusal: str | None = None
    reasoning: str | None = None


def read_content(value: object, cleaner: TextCleaner) -> Content:
    """The content in any of its forms; None, and what is no content, has no text."""
    if isinstance(value, str):
        return Content(cleaner.text(value))
    if not isinstance(value, list):
        return Content(None, [cleaner.json(value, PART_STRING_CHARACTERS)] if value else [])
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    for part in value:
        kind = as_dict(part).get("type")
        if isinstance(part, str):
            texts.append(part)
        elif kind in REASONING_PARTS:
            thoughts.append(joined_text(part))
        elif kind == "refusal":
            refusals.append(as_str(as_dict(part).get("refusal")) or "")
        elif kind is None or kind in TEXT_PARTS:
            texts.append(as_str(as_dict(part).get("text")) or "")
    return Content(
        text=cleaner.text("".join(texts)),
        parts=[read_part(part, cleaner) for part in value],
        refusal=joined(refusals, cleaner),
        reasoning=joined(thoughts, cleaner),
    )


def read_part(part: object, cleaner: TextCleaner) -> object:
    """A part safe for jsonb; text whole, other long strings cut."""
    fields = as_dict(part)
    text = fields.get("text")
    if fields.get("type") in TEXT_PARTS and isinstance(text, str):
        rest = {key: value for key, value in fields.items() if key != "text"}
        return {**as_dict(cleaner.json(rest, PART_STRING_CHARACTERS)), "text": cleaner.text(text)}
    return cleaner.json(part, None if isinstance(part, str) else PART_STRING_CHARACTERS)


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
