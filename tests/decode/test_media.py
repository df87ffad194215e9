"""Pictures, sounds and files have one form, whichever API spells them."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from app.decode.jsonsafe import TextCleaner
from app.decode.parts import read_part

BYTES = b"\x89PNG not really"
CODED = base64.b64encode(BYTES).decode()
DATA_URL = f"data:image/png;base64,{CODED}"
INLINE = {"size_bytes": len(BYTES), "sha256": hashlib.sha256(BYTES).hexdigest()}
PNG = {"media_type": "image/png", **INLINE}


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (
            {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
            {"type": "image", "detail": "low", **PNG},
        ),
        (
            {"type": "image_url", "image_url": "https://x.test/a.png"},
            {"type": "image", "url": "https://x.test/a.png"},
        ),
        (
            {"type": "input_image", "image_url": DATA_URL, "detail": "auto"},
            {"type": "image", "detail": "auto", **PNG},
        ),
        ({"type": "input_image", "file_id": "file-1"}, {"type": "image", "file_id": "file-1"}),
        ({"type": "image_file", "image_file": {"file_id": "file-1"}}, {"type": "image", "file_id": "file-1"}),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": CODED}},
            {"type": "image", **PNG},
        ),
        ({"type": "image", "source": {"type": "url", "url": "u"}}, {"type": "image", "url": "u"}),
        ({"type": "computer_screenshot", "image_url": DATA_URL}, {"type": "image", **PNG}),
        (
            {"type": "image_generation_call", "result": CODED, "output_format": "png"},
            {"type": "image", **PNG},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": CODED, "format": "wav"}},
            {"type": "audio", "format": "wav", **INLINE},
        ),
        ({"type": "output_audio", "transcript": "Hello"}, {"type": "audio", "transcript": "Hello"}),
        (
            {"type": "file", "file": {"file_id": "f", "filename": "a.pdf"}},
            {"type": "file", "file_id": "f", "filename": "a.pdf"},
        ),
        ({"type": "input_file", "file_url": "https://x.test/a"}, {"type": "file", "url": "https://x.test/a"}),
        (
            {"type": "input_file", "filename": "a.png", "file_data": DATA_URL},
            {"type": "file", "filename": "a.png", **PNG},
        ),
        (
            {
                "type": "document",
                "title": "t",
                "source": {"type": "text", "media_type": "text/plain", "data": "abc"},
            },
            {
                "type": "file",
                "title": "t",
                "media_type": "text/plain",
                "size_bytes": 3,
                "sha256": hashlib.sha256(b"abc").hexdigest(),
            },
        ),
        ({"type": "video_url", "video_url": {"url": "v"}}, {"type": "video", "url": "v"}),
    ],
    ids=lambda value: value.get("type", "") if isinstance(value, dict) else "",
)
def test_a_medium_is_the_same_whoever_spells_it(part: dict[str, object], wanted: dict[str, object]) -> None:
    assert read_part(part, TextCleaner()) == wanted


def test_what_is_no_base64_is_named_by_its_text() -> None:
    part = read_part({"type": "input_audio", "input_audio": {"data": "a"}}, TextCleaner())
    assert part["sha256"] == hashlib.sha256(b"a").hexdigest()


@pytest.mark.parametrize(
    "odd", [None, 1, "x", "data:", "data:,", [], [1], {"url": 1}, {"url": {"url": "x"}}, True]
)
def test_media_of_any_shape_raise_nothing(odd: object) -> None:
    for kind in (
        "image_url",
        "input_image",
        "image",
        "file",
        "document",
        "input_audio",
        "image_generation_call",
    ):
        names = (
            kind,
            "source",
            "image_url",
            "file_id",
            "file_data",
            "result",
            "detail",
            "data",
            "url",
            "content",
        )
        json.dumps(read_part({"type": kind, **dict.fromkeys(names, odd)}, TextCleaner()))
