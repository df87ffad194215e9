"""Segments made and read in tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from app.errors import FrameError
from app.exchange import FrameType, SegmentHeader
from app.journal.frame import FLAG_MORE, NO_EXCHANGE, Frame, encode_frame, salt_crc
from app.journal.reader import JournalDirectory, SegmentReader
from app.journal.segment import SegmentName

SALT = bytes(range(16))
NAME = str(SegmentName("0a1b2c3d", 0, 0))
HEADER = SegmentHeader(1, b"i" * 16, SALT, "0a1b2c3d", 0, 0, "host", 1_700_000_000_000_000_000, 5)
Told = tuple[int, bytes, int, bytes]
"""Kind, exchange id, sequence, payload."""


def exchange_id(number: int) -> bytes:
    """The id of the n-th exchange of a test."""
    return (0x0190_0000_0000_7000_8000_0000_0000_0000 + number).to_bytes(16)


def frame_bytes(frame: Told, salt: bytes = SALT, flags: int = 0) -> bytes:
    """A frame as it stands on disk."""
    kind, owner, sequence, payload = frame
    return encode_frame(salt_crc(salt), kind, owner, 7_000 + sequence, sequence, payload, flags) + payload


def header_bytes(header: SegmentHeader = HEADER) -> bytes:
    """A segment's first frame."""
    payload = msgspec.msgpack.encode(header)
    return encode_frame(salt_crc(b""), FrameType.HEADER, NO_EXCHANGE, 5, 0, payload) + payload


def seal_bytes() -> bytes:
    """A segment's last frame."""
    return frame_bytes((FrameType.SEAL, NO_EXCHANGE, 0, b""))


def small_exchanges(count: int) -> list[Told]:
    """Frames of whole small exchanges; chunks hold what is like a magic, and zeros."""
    frames: list[Told] = []
    for number in range(count):
        payloads = [
            (FrameType.BEGIN, b"begin %d" % number),
            (FrameType.REQUEST_CHUNK, b"\xf5LJ1" + bytes(number)),
            (FrameType.RESPONSE_CHUNK, b"data: {}\n\n" * number),
            (FrameType.END, b""),
        ]
        frames += [
            (kind, exchange_id(number), sequence, payload)
            for sequence, (kind, payload) in enumerate(payloads)
        ]
    return frames


def segment_bytes(frames: Iterable[Told], *, sealed: bool = True) -> bytes:
    """A whole segment."""
    return header_bytes() + b"".join(map(frame_bytes, frames)) + (seal_bytes() if sealed else b"")


@dataclass(slots=True)
class Reading:
    """What a reader made of a segment that nobody writes to any more."""

    frames: list[Told]
    damaged_bytes: int
    torn_bytes: int
    sealed: bool
    places: list[Frame]


def told(frame: Frame) -> Told:
    """What of a frame tests compare."""
    return (frame.kind, frame.exchange_id, frame.sequence, frame.payload)


def drain(reader: SegmentReader, window_bytes: int = 1 << 20) -> list[Frame]:
    """All frames to the end of an orphan or sealed segment."""
    frames: list[Frame] = []
    reader.finish()
    while taken := reader.read(window_bytes):
        frames += taken
    return frames


def read_file(folder: Path, name: str = NAME, window_bytes: int = 1 << 20) -> Reading:
    """Reads a segment to its end. Raises FrameError where it is no segment."""
    reader = SegmentReader(JournalDirectory(folder), name)
    try:
        frames = drain(reader, window_bytes)
        return Reading(
            [told(each) for each in frames], reader.damaged_bytes, reader.torn_bytes, reader.sealed, frames
        )
    finally:
        reader.close()


def read_bytes(folder: Path, content: bytes, window_bytes: int = 1 << 20) -> Reading | None:
    """Reads bytes as a segment; None where they are none."""
    (folder / NAME).write_bytes(content)
    try:
        return read_file(folder, NAME, window_bytes)
    except FrameError:
        return None


def read_all(folder: Path) -> list[Frame]:
    """The frames of all segments of a folder, in order; none of them may be damaged."""
    directory = JournalDirectory(folder)
    frames: list[Frame] = []
    for name in directory.segments():
        reading = read_file(folder, name)
        assert reading.damaged_bytes == 0, name
        frames += reading.places
    return frames


def payloads_of(frames: Iterable[Frame], owner: bytes) -> list[tuple[int, bytes]]:
    """An exchange's frames joined where one goes on in the next, after a look at their order."""
    joined: list[tuple[int, bytes]] = []
    goes_on = False
    expected = 0
    for frame in frames:
        if frame.exchange_id != owner:
            continue
        assert frame.sequence >= expected, "frames out of order"
        expected = frame.sequence + 1
        if goes_on:
            joined[-1] = (frame.kind, joined[-1][1] + frame.payload)
        else:
            joined.append((frame.kind, frame.payload))
        goes_on = bool(frame.flags & FLAG_MORE)
    return joined
