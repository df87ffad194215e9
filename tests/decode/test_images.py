"""Images: prompts and pictures in, pictures out by their digest, whole and streamed."""

from __future__ import annotations

import base64
import hashlib
import json

from tests.decode.endpoints import call, form, said, sse

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
CODED = base64.b64encode(PNG).decode()
PICTURE = {
    "type": "image",
    "media_type": "image/png",
    "size_bytes": 40,
    "sha256": hashlib.sha256(PNG).hexdigest(),
}
USAGE = {
    "total_tokens": 150,
    "input_tokens": 50,
    "output_tokens": 100,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}


def test_a_prompt_gives_pictures_each_a_choice() -> None:
    asked = {"model": "dall-e-3", "prompt": "An otter", "n": 2, "user": "ann"}
    told = {
        "created": 1,
        "data": [{"url": "https://x/1.png", "revised_prompt": "A small otter"}, {"url": "https://x/2.png"}],
    }
    decoded = call("images/generations", asked, told)
    assert said(decoded) == [
        ("request", "user", "An otter"),
        ("response", "assistant", "A small otter"),
        ("response", "assistant", None),
    ]
    assert [message.choice for message in decoded.messages] == [None, 0, 1]
    assert decoded.messages[2].parts == [{"type": "image", "url": "https://x/2.png"}]
    assert (decoded.model_asked, decoded.user, decoded.capture_status) == ("dall-e-3", "ann", "decoded")
    assert decoded.response_preview == "2 images: A small otter"


def test_bytes_of_pictures_are_their_digest_and_usage_counts() -> None:
    told = {"data": [{"b64_json": CODED}], "usage": USAGE, "size": "1024x1024", "output_format": "png"}
    decoded = call("images/generations", {"prompt": "x", "model": "gpt-image-1"}, told)
    assert decoded.messages[1].parts == [PICTURE]
    assert CODED not in repr(decoded)
    assert (decoded.usage.input_tokens, decoded.usage.output_tokens, decoded.usage.input_image_tokens) == (
        50,
        100,
        40,
    )
    assert decoded.response_preview == "1 image, 1024x1024"


def test_what_drew_vectors_is_counted_beside() -> None:
    svg = {"model": "gpt-5-mini", "input_tokens": 7, "output_tokens": 8}
    decoded = call("images/generations", {"prompt": "x"}, {"data": [], "usage": USAGE, "svg_usage": svg})
    assert decoded.usage.svg is not None
    assert (decoded.usage.svg[0], decoded.usage.svg[1].output_tokens) == ("gpt-5-mini", 8)


def test_an_edit_by_form_has_its_pictures_and_its_mask() -> None:
    body = form(
        ("prompt", "A hat"),
        ("model", "gpt-image-1"),
        ("image[]", ("a.png", "image/png", PNG)),
        ("image[]", ("b.png", "image/png", PNG)),
        ("mask", ("m.png", "image/png", PNG)),
    )
    decoded = call("images/edits", body, {"data": [{"b64_json": CODED}]})
    assert decoded.messages[0].parts == [
        {"type": "text", "text": "A hat"},
        {**PICTURE, "filename": "a.png"},
        {**PICTURE, "filename": "b.png"},
        {**PICTURE, "filename": "m.png", "used_as": "mask"},
    ]
    assert (decoded.model_asked, decoded.request_preview) == ("gpt-image-1", "A hat")


def test_an_edit_in_json_names_its_pictures() -> None:
    asked = {
        "prompt": "A hat",
        "images": [{"image_url": f"data:image/png;base64,{CODED}"}, {"file_id": "file-1"}],
        "mask": {"file_id": "file-2"},
    }
    assert call("images/edits", asked, {"data": []}).messages[0].parts == [
        {"type": "text", "text": "A hat"},
        PICTURE,
        {"type": "image", "file_id": "file-1"},
        {"type": "image", "file_id": "file-2", "used_as": "mask"},
    ]


def test_a_variation_has_nothing_but_its_picture() -> None:
    decoded = call(
        "images/variations", form(("image", ("a.png", "image/png", PNG))), {"data": [{"url": "u"}]}
    )
    assert (decoded.request_preview, decoded.response_preview) == ("[image a.png, 40 B]", "1 image")


def partial(number: int) -> dict:
    return {"type": "image_generation.partial_image", "partial_image_index": number, "b64_json": CODED[:8]}


def test_streamed_pictures_are_the_last_ones_not_the_previews() -> None:
    done = {"type": "image_generation.completed", "b64_json": CODED, "size": "1024x1024", "usage": USAGE}
    body = sse(partial(0), partial(1), done)
    decoded = call("images/generations", {"prompt": "x", "stream": True}, body, kind="text/event-stream")
    assert decoded.messages[1].parts == [PICTURE]
    assert (decoded.stream, decoded.capture_status, decoded.usage.total_tokens) == (True, "decoded", 150)
    assert decoded.response_preview == "1 image, 1024x1024"


def test_a_stream_that_was_cut_has_its_last_preview_and_is_partial() -> None:
    decoded = call(
        "images/edits", form(("prompt", "x")), sse(partial(0)), kind="text/event-stream", complete=False
    )
    assert (decoded.capture_status, decoded.response_preview) == ("partial", "1 image")


def test_two_streamed_pictures_are_two_and_their_usage_is_added() -> None:
    done = {"type": "image_edit.completed", "b64_json": CODED, "usage": USAGE}
    decoded = call("images/edits", {"prompt": "x"}, sse(done, done), kind="text/event-stream")
    assert [message.choice for message in decoded.messages] == [None, 0, 1]
    assert (decoded.usage.total_tokens, decoded.usage.input_image_tokens) == (300, 80)


def test_a_refusal_is_told_whole_and_streamed() -> None:
    error = {"error": {"code": "moderation_blocked", "type": "image_generation_user_error", "message": "No."}}
    whole = call("images/generations", {"prompt": "x"}, error, status=400)
    streamed = call(
        "images/generations", {"prompt": "x"}, sse({"type": "error", **error}), kind="text/event-stream"
    )
    for decoded in (whole, streamed):
        assert (decoded.error_code, decoded.response_preview) == ("moderation_blocked", "No.")
        assert decoded.capture_status == "decoded"


def test_parts_are_json_and_small() -> None:
    told = {"data": [{"b64_json": CODED, "revised_prompt": "a\0b"}]}
    decoded = call("images/generations", {"prompt": "\ud800", "image": [CODED, 7, None]}, told)
    assert len(json.dumps([message.parts for message in decoded.messages])) < 1_000
