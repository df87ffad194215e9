"""Content codings of answers that are made while they are sent: what a client takes, and streaming compressors."""

from __future__ import annotations

import zlib
from typing import Literal, Protocol

import zstandard

Coding = Literal["zstd", "gzip", "identity"]

_PREFERRED: tuple[Literal["zstd", "gzip"], ...] = ("zstd", "gzip")
_GZIP_LEVEL, _ZSTD_LEVEL = 6, 3
_GZIP_WINDOW_BITS = 31


class Compressor(Protocol):
    """Takes what is to be sent, piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """What can be sent of it now."""

    def flush(self) -> bytes:
        """The rest."""


class _Identity:
    """Leaves everything as it is."""

    def compress(self, data: bytes, /) -> bytes:
        """The same."""
        return data

    def flush(self) -> bytes:
        """Nothing."""
        return b""


def accepted_coding(accept_encoding: str | None) -> Coding:
    """The coding of those that a client takes (RFC 9110, 12.5.3) with its highest weight; zstd before gzip."""
    weights: dict[str, float] = {}
    for item in (accept_encoding or "").split(","):
        name, _, parameter = item.strip().lower().partition(";")
        weights[name.strip().removeprefix("x-")] = _weight(parameter)
    best: Coding = "identity"
    best_weight = 0.0
    for coding in _PREFERRED:
        weight = weights.get(coding, weights.get("*", 0.0))
        if weight > best_weight:
            best, best_weight = coding, weight
    return best if best_weight >= weights.get("identity", 0.0) else "identity"


def compressor_of(coding: Coding) -> Compressor:
    """A compressor of one answer."""
    if coding == "gzip":
        return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW_BITS)
    if coding == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    return _Identity()


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
