"""Content codings undone on a copy for the record: bounded in size, ratio and layers, and never raising.

An answer of 1.8 KB can stand for 1 GiB (gzip in gzip), so every layer stops at MAX_OUTPUT_BYTES and, beyond the
first MiB, at MAX_RATIO times its input.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Generator, Iterator

import brotli
import zstandard

MAX_OUTPUT_BYTES = 16 << 20
MAX_RATIO = 200
RATIO_FREE_BYTES = 1 << 20
MAX_LAYERS = 3
MAX_MEMBERS = 4_096
MAX_ZSTD_WINDOW_BYTES = 8 << 20
_SLICE_BYTES = 64 << 10
_ZSTD_SLICE_BYTES = 512
"""zstandard gives all output of a call at once, and four bytes can stand for 128 KiB: 512 for 16 MiB."""


class ContentStatus(enum.Enum):
    """How the undoing of content codings ended."""

    WHOLE = "whole"
    CUT = "cut"
    """The coded bytes end early; what could be decoded is given."""
    DAMAGED = "damaged"
    """The coded bytes are wrong; what could be decoded before the fault is given."""
    UNKNOWN = "unknown"
    """A coding that is not known, or too many; nothing is given."""
    TOO_LARGE = "too_large"
    """More than the bounds allow; nothing is given."""


class _CutError(Exception):
    """The coded bytes end early."""


class _DamagedError(Exception):
    """The coded bytes are wrong."""


def decode_content(body: bytes, encoding: str | None) -> tuple[bytes, ContentStatus]:
    """The body with its content codings undone, last applied first."""
    codings = [
        name for part in (encoding or "").split(",") if (name := part.strip().lower()) not in ("", "identity")
    ]
    if len(codings) > MAX_LAYERS:
        return b"", ContentStatus.UNKNOWN
    if len(body) > MAX_OUTPUT_BYTES:
        return b"", ContentStatus.TOO_LARGE
    worst = ContentStatus.WHOLE
    for coding in reversed(codings):
        body, status = _decode_layer(body, coding)
        if status in (ContentStatus.UNKNOWN, ContentStatus.TOO_LARGE):
            return b"", status
        if status is not ContentStatus.WHOLE:
            worst = status
    return body, worst


def _decode_layer(body: bytes, coding: str) -> tuple[bytes, ContentStatus]:
    decoder = _decoder_of(coding, body)
    if decoder is None:
        # Some servers put a charset there (`utf-8`) and code nothing.
        return (body, ContentStatus.WHOLE) if _looks_like_text(body) else (b"", ContentStatus.UNKNOWN)
    if not body:
        return b"", ContentStatus.WHOLE
    pieces: list[bytes] = []
    size = 0
    status = ContentStatus.WHOLE
    try:
        for piece in decoder:
            pieces.append(piece)
            size += len(piece)
            if size > MAX_OUTPUT_BYTES or (size > RATIO_FREE_BYTES and size > MAX_RATIO * len(body)):
                return b"", ContentStatus.TOO_LARGE
    except _CutError:
        status = ContentStatus.CUT
    except _DamagedError:
        status = ContentStatus.DAMAGED
        if not size and _looks_like_text(body):
            # Some proxies decode a body and leave the header.
            return body, ContentStatus.WHOLE
    return b"".join(pieces), status


def _decoder_of(coding: str, body: bytes) -> Iterator[bytes] | None:
    if coding in ("gzip", "x-gzip"):
        return _gunzip(body)
    if coding == "deflate":
        return _inflate(body)
    if coding == "br":
        return _unbrotli(body)
    if coding == "zstd":
        return _unzstd(body)
    return None


def _looks_like_text(body: bytes) -> bool:
    return body.lstrip()[:1] in (b"{", b"[", b":") or body.lstrip()[:5] in (b"data:", b"event")


def _gunzip(body: bytes) -> Iterator[bytes]:
    """All members of a gzip body; what follows the last member and is none is passed over."""
    position = 0
    for _ in range(MAX_MEMBERS):
        position = yield from _zlib_stream(body, position, wbits=31)
        if not body.startswith(b"\x1f\x8b", position):
            return
    raise _DamagedError


def _inflate(body: bytes) -> Iterator[bytes]:
    """`deflate` means zlib's format, but some send it raw."""
    first = b""
    try:
        first = zlib.decompressobj(15).decompress(body[:_SLICE_BYTES], 1)
    except zlib.error:
        is_raw = True
    else:
        is_raw = not first and len(body) < 2
    yield from _zlib_stream(body, 0, wbits=-15 if is_raw else 15)


def _zlib_stream(body: bytes, position: int, wbits: int) -> Generator[bytes, None, int]:
    """One zlib stream that begins at `position`; returns (as a generator) where it ends."""
    inflater = zlib.decompressobj(wbits)
    pending = b""
    try:
        while not inflater.eof:
            if not pending:
                pending = body[position : position + _SLICE_BYTES]
                position += len(pending)
            fed = pending
            piece = inflater.decompress(fed, 1 << 20)
            pending = inflater.unconsumed_tail
            if piece:
                yield piece
            elif not fed:
                raise _CutError
    except zlib.error as error:
        raise _DamagedError from error
    return position - len(inflater.unused_data) - len(pending)


def _unbrotli(body: bytes) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    position = 0
    try:
        while not decoder.is_finished():
            fed = b""
            if decoder.can_accept_more_data():
                fed = body[position : position + _SLICE_BYTES]
                position += len(fed)
            piece = decoder.process(fed, output_buffer_limit=1 << 20)
            if piece:
                yield piece
            elif not fed and decoder.can_accept_more_data():
                raise _CutError
    except brotli.error as error:
        raise _DamagedError from error


def _unzstd(body: bytes) -> Iterator[bytes]:
    """All frames of a zstd body; windows beyond 8 MiB, which RFC 9659 forbids, are refused."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
    position = 0
    for _ in range(MAX_MEMBERS):
        inflater = decompressor.decompressobj()
        try:
            while not inflater.eof:
                fed = body[position : position + _ZSTD_SLICE_BYTES]
                if not fed:
                    raise _CutError
                position += len(fed)
                piece = inflater.decompress(fed)
                if piece:
                    yield piece
        except zstandard.ZstdError as error:
            raise _DamagedError from error
        position -= len(inflater.unused_data)
        if body[position : position + 4] != zstandard.FRAME_HEADER:
            return
    raise _DamagedError
