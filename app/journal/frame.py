"""One frame: its layout in bytes, written and read. Pure; the format is described in the package's docstring."""

from __future__ import annotations

import struct

# The CRC-32 of zlib in a fifth of the time for a kilobyte, in a fourteenth for a hundred.
from zlib_ng.zlib_ng import crc32

from app.errors import FrameError
from app.exchange import FrameType
from app.frozen import value

MAGIC = b"\xf5LJ1"
FORMAT_VERSION = 1
MAX_PAYLOAD_BYTES = 1 << 20
FLAG_MORE = 1
NO_EXCHANGE = bytes(16)

_PREFIX = struct.Struct("<4sI")
_REST = struct.Struct("<IBBH16sQI")
_HEADER = struct.Struct(_PREFIX.format + _REST.format.removeprefix("<"))
HEADER_BYTES = _HEADER.size


def salt_crc(salt: bytes) -> int:
    """CRC-32 of a segment's salt: the start value of every frame's CRC in that segment."""
    return crc32(salt)


def encode_frame(
    start_crc: int,
    kind: int,
    exchange_id: bytes,
    monotonic_ns: int,
    sequence: int,
    payload: bytes,
    flags: int = 0,
) -> bytes:
    """The 44 header bytes for a payload of at most 1 MiB; the payload follows them on disk."""
    rest = _REST.pack(len(payload), kind, flags, FORMAT_VERSION, exchange_id, monotonic_ns, sequence)
    return _PREFIX.pack(MAGIC, crc32(payload, crc32(rest, start_crc))) + rest


@value
class Frame:
    """A frame as read: where it stands in its segment and what it holds."""

    offset: int
    kind: int
    flags: int
    exchange_id: bytes
    monotonic_ns: int
    sequence: int
    payload: bytes

    @property
    def size_bytes(self) -> int:
        """Bytes it takes in the segment."""
        return HEADER_BYTES + len(self.payload)


def decode_frame(
    data: bytes | memoryview, position: int, start_crc: int, base_offset: int = 0
) -> Frame | None:
    """The frame at `position` of `data`, or None where it is not all there yet; `base_offset` is where data stands
    in the segment. Raises FrameError where no valid frame of this format starts here."""
    available = len(data) - position
    if available < HEADER_BYTES:
        if bytes(data[position : position + len(MAGIC)]) != MAGIC[:available]:
            raise FrameError("no magic")
        return None
    magic, crc, length, kind, flags, version, exchange_id, monotonic_ns, sequence = _HEADER.unpack_from(
        data, position
    )
    if magic != MAGIC:
        raise FrameError("no magic")
    if length > MAX_PAYLOAD_BYTES:
        raise FrameError(f"payload of {length} bytes")
    if available < HEADER_BYTES + length:
        return None
    end = position + HEADER_BYTES + length
    if crc32(memoryview(data)[position + _PREFIX.size : end], start_crc) != crc:
        raise FrameError("CRC")
    payload = bytes(data[position + HEADER_BYTES : end])
    if version != FORMAT_VERSION:
        raise FrameError(f"format version {version}")
    return Frame(base_offset + position, kind, flags, exchange_id, monotonic_ns, sequence, payload)


def is_known(kind: int) -> bool:
    """True for the frame types of this version; readers skip others."""
    return kind in FrameType._value2member_map_
