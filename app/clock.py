"""Time and ids: the only module that reads a clock."""

from __future__ import annotations

import datetime
import os
import time

monotonic_ns = time.monotonic_ns
"""Nanoseconds of a clock that never steps back; compares within one boot of the machine."""

wall_ns = time.time_ns
"""Nanoseconds since 1970 in UTC; may step."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_LOW_BITS = (1 << 62) - 1
_NOISE_BYTES = 10
_BULK_BYTES = 400 * _NOISE_BYTES


def new_id(now_ns: int) -> bytes:
    """A UUIDv7 (RFC 9562, section 5.7) for this wall-clock time: 48 bits of milliseconds, 74 random bits; 16 bytes."""
    return _id(now_ns, int.from_bytes(os.urandom(10)))


class IdSource:
    """Makes UUIDv7s from randomness that is fetched in bulk; of one process, made after the fork."""

    __slots__ = ("_at", "_noise")

    def __init__(self) -> None:
        self._noise = b""
        self._at = 0

    def __call__(self, now_ns: int) -> bytes:
        """The next id for this wall-clock time; 16 bytes."""
        if self._at >= len(self._noise):
            self._noise = os.urandom(_BULK_BYTES)
            self._at = 0
        self._at += _NOISE_BYTES
        return _id(now_ns, int.from_bytes(self._noise[self._at - _NOISE_BYTES : self._at]))


def _id(now_ns: int, noise: int) -> bytes:
    high = (now_ns // 1_000_000) << 80
    return (high | _VERSION_7 | (noise >> 68) << 64 | _VARIANT | noise & _LOW_BITS).to_bytes(16)


def id_milliseconds(exchange_id: bytes) -> int:
    """Milliseconds since 1970 that a UUIDv7 holds."""
    return int.from_bytes(exchange_id[:6])


def utc_from_ns(ns: int) -> datetime.datetime:
    """An aware datetime, cut to microseconds."""
    return _EPOCH + datetime.timedelta(microseconds=ns // 1_000)


def utc_now() -> datetime.datetime:
    """The wall clock as an aware datetime."""
    return utc_from_ns(wall_ns())
