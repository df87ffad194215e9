"""Time and ids: the only module that reads a clock."""

from __future__ import annotations

import datetime
import os
import time

monotonic_ns = time.monotonic_ns
"""Nanoseconds of a clock that never steps back; compares within one boot of the machine."""

wall_ns = time.time_ns
"""Nanoseconds since 1970 in UTC; may step."""

_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62


def new_id(now_ns: int) -> bytes:
    """A UUIDv7 (RFC 9562, section 5.7) for this wall-clock time: 48 bits of milliseconds, 74 random bits; 16 bytes."""
    noise = int.from_bytes(os.urandom(10))
    high = (now_ns // 1_000_000) << 80
    return (high | _VERSION_7 | (noise >> 68) << 64 | _VARIANT | noise & (1 << 62) - 1).to_bytes(16)


def id_milliseconds(exchange_id: bytes) -> int:
    """Milliseconds since 1970 that a UUIDv7 holds."""
    return int.from_bytes(exchange_id[:6])


def utc_from_ns(ns: int) -> datetime.datetime:
    """An aware datetime, cut to microseconds."""
    return datetime.datetime.fromtimestamp(ns // 1_000_000_000, datetime.UTC).replace(
        microsecond=ns % 1_000_000_000 // 1_000
    )


def utc_now() -> datetime.datetime:
    """The wall clock as an aware datetime."""
    return utc_from_ns(wall_ns())
