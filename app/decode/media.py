"""Images, sounds and files inside messages, in one form whichever service spells them; their bytes stay in the body.

    {"type": "image" | "audio" | "video" | "file", "url", "file_id", "media_type", "size_bytes", "sha256", …}

Only what was said stands in it. `size_bytes` and `sha256` (of the bytes, not of their base64) are of what was sent
inline, so that one picture is known again in whatever way it is sent.
"""

from __future__ import annotations

import binascii
import hashlib

from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str

LABEL_CHARACTERS = 1_024
KEPT_FIELDS = ("detail", "format", "filename", "title", "id", "transcript", "revised_prompt", "context")
"""Fields that go over as they are, where they are text."""

MEDIA_KINDS = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "output_image": "image",
    "image_file": "image",
    "computer_screenshot": "image",
    "image_generation_call": "image",
    "audio": "audio",
    "audio_url": "audio",
    "input_audio": "audio",
    "output_audio": "audio",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
    "file": "file",
    "file_url": "file",
    "input_file": "file",
    "document": "file",
    "document_url": "file",
    "container_upload": "file",
}
"""Types of parts that are media: OpenAI's, Anthropic's, Mistral's, vLLM's."""

_URLS = ("url", "image_url", "file_url", "audio_url", "video_url", "document_url")
_NAMES = ("file_name", "document_name")
_BASE64 = ("data", "file_data", "b64_json", "base64")


def read_media(part: dict[str, object], kind: str, cleaner: TextCleaner) -> dict[str, object]:
    """A part of a media type (`kind` is one of MEDIA_KINDS' values)."""
    found: dict[str, object] = {"type": kind}
    for fields in _layers(part):
        _take_texts(fields, found, cleaner)
        _take_place(fields, found, cleaner)
    if part.get("type") == "image_generation_call":
        _take_inline(as_str(part.get("result")) or "", found)
        _set_type(found, f"image/{as_str(part.get('output_format')) or 'png'}", cleaner)
    return found


def _layers(part: dict[str, object]) -> list[dict[str, object]]:
    """The part and what is nested in it: `image_url: {…}`, `input_audio: {…}`, `file: {…}`, Anthropic's `source`."""
    kind = as_str(part.get("type")) or ""
    layers = [part]
    for name in (kind, "source", "image_url"):
        nested = as_dict(part.get(name))
        if nested and all(nested is not layer for layer in layers):
            layers.append(nested)
    return layers


def _take_texts(fields: dict[str, object], found: dict[str, object], cleaner: TextCleaner) -> None:
    for name in KEPT_FIELDS:
        value = fields.get(name)
        if isinstance(value, str) and value:
            found[name] = cleaner.text(value, None if name == "transcript" else LABEL_CHARACTERS)
    for name in _NAMES:
        if isinstance(fields.get(name), str):
            found.setdefault("filename", cleaner.text(str(fields[name]), LABEL_CHARACTERS))
    if fields.get("file_id"):
        found["file_id"] = cleaner.label(fields["file_id"])
    _set_type(found, fields.get("media_type") or fields.get("mime_type"), cleaner)


def _take_place(fields: dict[str, object], found: dict[str, object], cleaner: TextCleaner) -> None:
    """Where the bytes are: at an address, or here."""
    for name in (*_URLS, *_BASE64):
        value = fields.get(name)
        if not isinstance(value, str) or not value:
            continue
        if value[:5].lower() == "data:":
            head, _, data = value.partition(",")
            _set_type(found, head[5:].partition(";")[0], cleaner)
            _take_inline(data, found)
        elif name in _URLS:
            found["url"] = cleaner.text(value, LABEL_CHARACTERS)
        elif fields.get("type") == "text":
            # Anthropic's document in plain words.
            _take_bytes(value.encode("utf-8", "replace"), found)
        else:
            _take_inline(value, found)
    inner = as_list(fields.get("content")) if fields.get("type") == "content" else []
    if inner:
        found["parts"] = len(inner)


def _set_type(found: dict[str, object], value: object, cleaner: TextCleaner) -> None:
    if isinstance(value, str) and value:
        found.setdefault("media_type", cleaner.text(value, LABEL_CHARACTERS))


def _take_inline(data: str, found: dict[str, object]) -> None:
    if not data:
        return
    coded = data.encode("utf-8", "replace")
    try:
        _take_bytes(binascii.a2b_base64(coded), found)
    except binascii.Error:
        _take_bytes(coded, found)


def _take_bytes(data: bytes, found: dict[str, object]) -> None:
    found["size_bytes"] = len(data)
    found["sha256"] = hashlib.sha256(data).hexdigest()
