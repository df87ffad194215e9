"""Images: a prompt and perhaps pictures in, pictures out, each a choice of its own; streamed ones with previews.

Pictures are told by size and SHA-256 (media.py); their bytes stay in the body.
"""

from __future__ import annotations

import binascii

from app.decode.amounts import count_text
from app.decode.envelope import read_error
from app.decode.events import Fold, StreamEvents, event_type, stream_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str
from app.decode.media import read_media
from app.decode.parts import text_part
from app.decode.sniff import sniffed_type
from app.decode.sums import add_usage
from app.decode.values import Answer, Message

MAX_IMAGES = 1_024
PICTURES = ("image", "images", "image_url", "mask", "markup", "input_reference")
"""Fields of a request that hold pictures: files of a form, addresses, ids of files, or lists of them."""
KEPT_OF_STREAM = ("created", "created_at", "size", "quality", "background", "output_format", "model")


def read_images_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """One message of the user's: the prompt, then the pictures that it is about."""
    prompt = as_str(body.get("prompt"))
    text = None if prompt is None else cleaner.text(prompt)
    pictures = [
        read_picture(value, name, cleaner)
        for name in PICTURES
        for value in _values(body.get(name))[:MAX_IMAGES]
    ]
    parts: list[object] = [text_part(text)] if text and pictures else []
    return [Message("request", None, "user", text, [*parts, *pictures])]


def read_picture(value: object, name: str, cleaner: TextCleaner) -> dict[str, object]:
    """A picture in a request, in whatever form the field of that name holds it."""
    if isinstance(value, str):
        value = (
            {"image_url": value} if value.startswith(("http:", "https:", "data:")) else {"b64_json": value}
        )
    fields = as_dict(value)
    if "sha256" in fields and fields.get("type") == "file":
        part = form_part(fields, "image", cleaner)
    else:
        part = read_media(fields, "image", cleaner)
    return {**part, "used_as": "mask"} if name == "mask" else part


def form_part(fields: dict[str, object], kind: str, cleaner: TextCleaner) -> dict[str, object]:
    """A file of a form as a part of that kind."""
    return {**as_dict(cleaner.json(fields, 1_024)), "type": kind}


def read_images_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """An `images` object: every picture is a choice, and its text is the prompt as the model rewrote it."""
    data = [as_dict(item) for item in as_list(body.get("data"))]
    if len(data) > MAX_IMAGES:
        cleaner.flags.add("cut")
    messages = [_picture_message(item, body, index, cleaner) for index, item in enumerate(data[:MAX_IMAGES])]
    return Answer(
        upstream_id=cleaner.label(body.get("id")),
        model=cleaner.label(body.get("model")),
        usage=_usage(body),
        service_tier=cleaner.label(body.get("service_tier")),
        messages=messages,
        summary=_summary(messages, body) if "data" in body else None,
    )


def fold_images(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """Events of `image_generation.*` or `image_edit.*` to one `images` object; of previews only the last is kept,
    and that only where no picture was finished."""
    value: dict[str, object] = {}
    usage: dict[str, object] = {}
    finished: list[object] = []
    preview: dict[str, object] = {}
    error: object = None
    for event in stream.events:
        kind = event_type(event)
        if kind.endswith(".completed"):
            finished.append(event.value)
            usage = add_usage(usage, as_dict(event.value.get("usage")))
        elif kind.endswith(".partial_image"):
            preview = event.value
        else:
            error = error or stream_error(event)
            continue
        value.update(
            {name: event.value[name] for name in KEPT_OF_STREAM if event.value.get(name) is not None}
        )
    value["usage"] = usage or None
    value["data"] = finished or ([preview] if preview else [])
    told = read_error(error, cleaner)
    is_ended = bool(finished) or stream.is_done
    return Fold(value, is_ended, is_ended or told is not None, told)


def _values(value: object) -> list[object]:
    """One value or several."""
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def _picture_message(
    item: dict[str, object], body: dict[str, object], index: int, cleaner: TextCleaner
) -> Message:
    part = read_media({**item, "type": "image"}, "image", cleaner)
    coded = as_str(item.get("b64_json"))
    if coded and "media_type" not in part:
        kind = as_str(item.get("output_format")) or as_str(body.get("output_format"))
        part["media_type"] = _sniffed(coded) or (cleaner.text(f"image/{kind}", 64) if kind else "image/png")
    said = as_str(item.get("revised_prompt"))
    text = cleaner.text(said) if said else None
    parts: list[object] = [text_part(text)] if text else []
    return Message("response", index, "assistant", text, [*parts, part])


def _sniffed(coded: str) -> str | None:
    try:
        return sniffed_type(binascii.a2b_base64(coded[:64].encode("ascii", "replace")))
    except binascii.Error:
        return None


def _usage(body: dict[str, object]) -> object:
    """The counts; what a second model drew as vectors stands beside them."""
    usage = as_dict(body.get("usage"))
    beside = as_dict(body.get("svg_usage"))
    return {**usage, "svg_usage": beside} if usage and beside and "svg_usage" not in usage else usage


def _summary(messages: list[Message], body: dict[str, object]) -> str:
    words = [count_text(len(messages), "image")]
    size = as_str(body.get("size"))
    if size and messages:
        words.append(size[:32])
    said = next((message.text for message in messages if message.text), None)
    return ", ".join(words) + (f": {said}" if said else "")
