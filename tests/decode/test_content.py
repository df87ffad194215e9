"""Content codings are undone within bounds, and no bytes raise."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from app.decode.content import ContentStatus, decode_content

PLAIN = b'{"object": "chat.completion", "text": "' + bytes(range(32, 127)) * 400 + b'"}'


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


CODED = {
    "gzip": gzip.compress(PLAIN),
    "x-gzip": gzip.compress(PLAIN),
    "deflate": zlib.compress(PLAIN),
    "Deflate": raw_deflate(PLAIN),
    "br": brotli.compress(PLAIN),
    "zstd": zstandard.ZstdCompressor().compress(PLAIN),
    "gzip, br": brotli.compress(gzip.compress(PLAIN)),
    "gzip,identity, zstd": zstandard.ZstdCompressor().compress(gzip.compress(PLAIN)),
    "identity": PLAIN,
}


@pytest.mark.parametrize("coding", CODED)
def test_each_coding_is_undone(coding: str) -> None:
    assert decode_content(CODED[coding], coding) == (PLAIN, ContentStatus.WHOLE)


def test_no_coding_is_no_work() -> None:
    assert decode_content(PLAIN, None) == (PLAIN, ContentStatus.WHOLE)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_all_members_of_a_body_are_read_and_garbage_after_them_is_passed_over(coding: str) -> None:
    assert decode_content(CODED[coding] * 3 + b"\0\0junk", coding) == (PLAIN * 3, ContentStatus.WHOLE)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "Deflate", "br", "zstd"])
def test_a_cut_body_gives_its_beginning(coding: str) -> None:
    body, status = decode_content(CODED[coding][:-5], coding)
    assert status is ContentStatus.CUT
    assert PLAIN.startswith(body)


def test_damage_gives_what_came_before_it() -> None:
    coded = bytearray(gzip.compress(PLAIN * 50, compresslevel=1))
    coded[-6] ^= 0xFF
    body, status = decode_content(bytes(coded), "gzip")
    assert status is ContentStatus.DAMAGED
    assert (PLAIN * 50).startswith(body)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_was_decoded_on_its_way_and_kept_its_header_is_read(coding: str) -> None:
    assert decode_content(b'{"a": 1}', coding) == (b'{"a": 1}', ContentStatus.WHOLE)


@pytest.mark.parametrize("coding", ["compress", "gzip, gzip, gzip, gzip", "é"])
def test_what_is_not_known_is_said(coding: str) -> None:
    assert decode_content(b"x", coding) == (b"", ContentStatus.UNKNOWN)


def bombs() -> dict[str, bytes]:
    zeros = bytes(64 << 20)
    return {
        "gzip": gzip.compress(zeros),
        "gzip, gzip": gzip.compress(gzip.compress(zeros)),
        "deflate": zlib.compress(zeros),
        "br": brotli.compress(zeros, quality=1),
        "zstd": zstandard.ZstdCompressor().compress(zeros),
    }


def test_bombs_are_told_as_too_large() -> None:
    for coding, bomb in bombs().items():
        assert decode_content(bomb, coding) == (b"", ContentStatus.TOO_LARGE), coding


def test_a_plain_body_beyond_the_bound_is_too_large() -> None:
    assert decode_content(bytes((16 << 20) + 1), None) == (b"", ContentStatus.TOO_LARGE)


def test_many_tiny_members_are_bounded_work() -> None:
    tiny = gzip.compress(b"")
    assert decode_content(tiny * 100_000, "gzip")[1] is ContentStatus.DAMAGED
    frame = zstandard.ZstdCompressor().compress(b"a")
    assert decode_content(frame * 100_000, "zstd")[1] is ContentStatus.DAMAGED


@given(
    st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br", "zstd", "br, gzip", "zstd,deflate"])
)
def test_any_bytes_under_any_coding_give_an_answer(data: bytes, coding: str) -> None:
    body, status = decode_content(data, coding)
    assert isinstance(body, bytes)
    assert isinstance(status, ContentStatus)


@given(st.data())
def test_any_damage_to_a_coded_body_gives_an_answer(data: st.DataObject) -> None:
    coding = data.draw(st.sampled_from(sorted(CODED)))
    body = bytearray(CODED[coding])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    decode_content(bytes(body), coding)


def test_a_charset_in_the_place_of_a_coding_codes_nothing() -> None:
    assert decode_content(b'{"a": 1}', "UTF-8") == (b'{"a": 1}', ContentStatus.WHOLE)
    assert decode_content(b"\x00\x01", "utf-8") == (b"", ContentStatus.UNKNOWN)
