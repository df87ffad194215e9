"""The search for the next frame behind damage: what a payload holds on purpose may not make it slow or wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.exchange import FrameType
from app.journal.disk import RealDisk
from app.journal.frame import HEADER_BYTES, MAGIC, MAX_PAYLOAD_BYTES
from app.journal.reader import SHORT_PAYLOAD_BYTES, JournalDirectory, SegmentReader
from tests.journal.segments import (
    NAME,
    Told,
    drain,
    exchange_id,
    frame_bytes,
    header_bytes,
    seal_bytes,
    segment_bytes,
    told,
)

HEAD_BYTES = len(header_bytes())
WINDOW_BYTES = 256 << 10
SHORT: list[Told] = [(FrameType.RESPONSE_CHUNK, exchange_id(2), sequence, b"short") for sequence in range(5)]
LONG: list[Told] = [
    (FrameType.RESPONSE_CHUNK, exchange_id(3), sequence, bytes(MAX_PAYLOAD_BYTES)) for sequence in range(3)
]


class CountingDisk(RealDisk):
    """Counts the bytes that were read."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def read(self, fd: int, size_bytes: int, offset: int) -> bytes:
        data = super().read(fd, size_bytes, offset)
        self.read_bytes += len(data)
        return data


def magics(length: int) -> Told:
    """A frame whose payload is nothing but beginnings of frames that say they are so long."""
    unit = MAGIC + b"CRC?" + length.to_bytes(4, "little")
    return (
        FrameType.RESPONSE_CHUNK,
        exchange_id(1),
        0,
        (unit * (MAX_PAYLOAD_BYTES // len(unit) + 1))[:MAX_PAYLOAD_BYTES],
    )


def with_damaged_header(frames: list[Told], *, sealed: bool = True) -> bytes:
    """A segment whose first frame has one wrong bit in its CRC."""
    content = bytearray(segment_bytes(frames, sealed=sealed))
    content[HEAD_BYTES + 5] ^= 1
    return bytes(content)


@pytest.mark.parametrize("length", [0, 1_000, 500_000, MAX_PAYLOAD_BYTES - 70_000, MAX_PAYLOAD_BYTES])
@pytest.mark.parametrize("behind", [SHORT, SHORT + LONG], ids=["short", "short-and-long"])
def test_a_damaged_frame_full_of_magics_costs_itself_and_little_time(
    folder: Path, length: int, behind: list[Told]
) -> None:
    """Each of its 87,000 magics could cost a CRC, or even a read, of a mebibyte: half a minute of the recorder's."""
    hostile = magics(length)
    (folder / NAME).write_bytes(with_damaged_header([hostile, *behind]))
    disk = CountingDisk()
    reader = SegmentReader(JournalDirectory(folder, disk), NAME)
    began = time.process_time()
    frames = drain(reader, WINDOW_BYTES)
    assert time.process_time() - began < 5
    assert [told(each) for each in frames] == behind
    assert reader.damaged_bytes == HEADER_BYTES + len(hostile[3])
    assert disk.read_bytes < 300 << 20
    reader.close()


def test_the_end_of_a_dead_writers_segment_full_of_magics_costs_little_time(folder: Path) -> None:
    """Nothing is behind it, so that each magic could begin the frame that was being written."""
    cut = with_damaged_header([magics(MAX_PAYLOAD_BYTES // 2)], sealed=False)
    (folder / NAME).write_bytes(cut)
    reader = SegmentReader(JournalDirectory(folder), NAME)
    began = time.process_time()
    assert drain(reader, WINDOW_BYTES) == []
    assert time.process_time() - began < 5
    assert reader.damaged_bytes + reader.torn_bytes == len(cut) - HEAD_BYTES
    reader.close()


def test_a_search_that_was_dear_still_ends_at_the_next_short_frame(folder: Path) -> None:
    """What it may lose are long frames that stand between."""
    behind: list[Told] = [LONG[0], (5, exchange_id(4), 0, bytes(SHORT_PAYLOAD_BYTES)), LONG[1], SHORT[0]]
    (folder / NAME).write_bytes(with_damaged_header([magics(500_000), *behind]))
    reader = SegmentReader(JournalDirectory(folder), NAME)
    frames = [told(each) for each in drain(reader, WINDOW_BYTES)]
    assert frames == behind[1:]
    assert reader.damaged_bytes == 2 * (HEADER_BYTES + MAX_PAYLOAD_BYTES)
    assert reader.sealed
    reader.close()


def test_a_search_that_is_not_dear_finds_long_frames_too(folder: Path) -> None:
    damaged: Told = (FrameType.RESPONSE_CHUNK, exchange_id(1), 0, b"x" * 5_000 + MAGIC * 100)
    (folder / NAME).write_bytes(with_damaged_header([damaged, *LONG]))
    reader = SegmentReader(JournalDirectory(folder), NAME)
    assert [told(each) for each in drain(reader, WINDOW_BYTES)] == LONG
    reader.close()


def test_whole_payloads_full_of_magics_are_just_payloads(folder: Path) -> None:
    frames = [magics(length) for length in (0, 500_000, MAX_PAYLOAD_BYTES)]
    (folder / NAME).write_bytes(segment_bytes(frames))
    reader = SegmentReader(JournalDirectory(folder), NAME)
    assert [told(each) for each in drain(reader, WINDOW_BYTES)] == frames
    assert reader.damaged_bytes == 0
    reader.close()


def test_in_a_growing_segment_damage_full_of_magics_holds_nothing_up(folder: Path) -> None:
    hostile = magics(300_000)
    path = folder / NAME
    path.write_bytes(with_damaged_header([hostile, *SHORT], sealed=False))
    reader = SegmentReader(JournalDirectory(folder), NAME)
    found: list[Told] = []
    for _ in range(10):
        found += [told(each) for each in reader.read(WINDOW_BYTES)]
    with path.open("ab") as file:
        file.write(frame_bytes(LONG[0]) + seal_bytes())
    found += [told(each) for each in reader.read(WINDOW_BYTES)]
    assert found + [told(each) for each in reader.read(WINDOW_BYTES)] == [*SHORT, LONG[0]]
    reader.close()


@pytest.mark.parametrize("window_bytes", range(60, 160))
def test_a_magic_that_the_end_of_a_window_cuts_is_found(folder: Path, window_bytes: int) -> None:
    damaged: Told = (FrameType.RESPONSE_CHUNK, exchange_id(1), 0, b"x" * 300)
    content = bytearray(segment_bytes([damaged, *SHORT]))
    content[HEAD_BYTES] ^= 1  # of its magic, so that nothing longer than the window is read
    (folder / NAME).write_bytes(content)
    reader = SegmentReader(JournalDirectory(folder), NAME)
    assert [told(each) for each in drain(reader, window_bytes)] == SHORT
    assert reader.damaged_bytes == HEADER_BYTES + 300
    reader.close()
