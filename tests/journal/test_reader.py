from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from app.errors import FrameError, JournalError
from app.exchange import FrameType
from app.journal.disk import RealDisk
from app.journal.frame import HEADER_BYTES, MAX_PAYLOAD_BYTES
from app.journal.reader import JournalDirectory, SegmentReader
from app.journal.segment import NEW_SUFFIX, SegmentFile
from tests.fakes.disk import FaultyDisk
from tests.journal.segments import (
    HEADER,
    NAME,
    Told,
    exchange_id,
    frame_bytes,
    header_bytes,
    read_bytes,
    seal_bytes,
    segment_bytes,
    small_exchanges,
    told,
)

FRAMES = small_exchanges(3)


@dataclass
class Live:
    """A segment that grows by pieces of any size, and its reader."""

    path: Path

    def __post_init__(self) -> None:
        self.path.write_bytes(header_bytes())
        self.reader = SegmentReader(JournalDirectory(self.path.parent), self.path.name)

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def read(self) -> list[Told]:
        return [told(each) for each in self.reader.read()]


@pytest.fixture
def live(folder: Path):
    segment = Live(folder / NAME)
    yield segment
    segment.reader.close()


def test_frames_of_a_growing_segment_are_given_once_each_as_soon_as_they_are_whole(live: Live) -> None:
    data = b"".join(map(frame_bytes, FRAMES))
    found: list[Told] = []
    ends = [len(b"".join(map(frame_bytes, FRAMES[: n + 1]))) for n in range(len(FRAMES))]
    for place in range(len(data)):
        live.write(data[place : place + 1])
        found += live.read()
        assert found == FRAMES[: sum(end <= place + 1 for end in ends)]
    assert (live.reader.damaged_bytes, live.reader.torn_bytes, live.reader.sealed) == (0, 0, False)
    live.write(seal_bytes())
    assert live.read() == []
    assert live.reader.sealed


def test_an_unfinished_frame_of_a_growing_segment_is_no_damage(live: Live) -> None:
    live.write(frame_bytes(FRAMES[0]) + frame_bytes(FRAMES[1])[:-1])
    assert live.read() == FRAMES[:1]
    assert live.read() == []
    assert live.reader.torn_bytes == 0
    live.reader.finish()
    assert live.read() == []
    assert live.reader.torn_bytes == len(frame_bytes(FRAMES[1])) - 1


def test_a_frame_that_was_cut_back_and_written_anew_while_it_was_read_is_not_called_damaged(
    live: Live,
) -> None:
    """Half of the old bytes and half of the new is what a read may see."""
    live.write(frame_bytes(FRAMES[0]))
    begin = live.path.stat().st_size
    mixed = frame_bytes(FRAMES[2])[:30] + frame_bytes(FRAMES[1])[30:]
    live.write(mixed)
    assert live.read() == FRAMES[:1]
    os.truncate(live.path, begin)
    live.write(frame_bytes(FRAMES[1]))
    assert live.read() == FRAMES[1:2]
    assert live.reader.damaged_bytes == 0


def test_damage_in_a_growing_segment_does_not_stop_what_comes_behind(live: Live) -> None:
    live.write(frame_bytes(FRAMES[0]) + b"\x00" * 50 + frame_bytes(FRAMES[1]))
    found = live.read() + live.read() + live.read()
    assert found == FRAMES[:2]
    assert live.reader.damaged_bytes == 50
    live.write(frame_bytes(FRAMES[2]))
    assert live.read() == FRAMES[2:3]


def test_a_frame_longer_than_the_window_is_read_whole(folder: Path) -> None:
    long: Told = (4, exchange_id(1), 0, os.urandom(MAX_PAYLOAD_BYTES))
    reading = read_bytes(folder, segment_bytes([FRAMES[0], long, FRAMES[1]]), 1_000)
    assert reading is not None
    assert reading.frames == [FRAMES[0], long, FRAMES[1]]


def test_a_window_bounds_what_is_read_at_once(folder: Path) -> None:
    frames: list[Told] = [(4, exchange_id(1), n, bytes(1_000)) for n in range(50)]
    (folder / NAME).write_bytes(segment_bytes(frames))
    reader = SegmentReader(JournalDirectory(folder), NAME)
    assert len(reader.read(5_000)) == 4
    reader.close()


def test_a_frame_is_read_again_by_its_offset_and_checked(folder: Path) -> None:
    reading = read_bytes(folder, segment_bytes(FRAMES))
    assert reading is not None
    reader = SegmentReader(JournalDirectory(folder), NAME)
    for place in reading.places:
        assert reader.payload_at(place.offset) == place
    changed = reading.places[5]
    with (folder / NAME).open("r+b") as file:
        file.seek(changed.offset + HEADER_BYTES)
        file.write(b"?")
    with pytest.raises(FrameError, match="CRC"):
        reader.payload_at(changed.offset)
    cut = reading.places[-1]
    os.truncate(folder / NAME, cut.offset + 10)
    with pytest.raises(FrameError, match="ends within"):
        reader.payload_at(cut.offset)
    reader.close()
    with pytest.raises(JournalError, match="is closed"):
        reader.payload_at(changed.offset)


def test_a_segment_of_an_unknown_format_version_is_no_segment_of_ours(folder: Path) -> None:
    newer = msgspec.structs.replace(HEADER, format_version=2)
    (folder / NAME).write_bytes(header_bytes(newer))
    with pytest.raises(FrameError, match="format version 2"):
        SegmentReader(JournalDirectory(folder), NAME)


def test_what_is_set_aside_is_kept_in_quarantine(folder: Path) -> None:
    (folder / NAME).write_bytes(b"no segment")
    directory = JournalDirectory(folder)
    directory.set_aside(NAME)
    assert directory.segments() == []
    assert (folder / "quarantine" / NAME).read_bytes() == b"no segment"


def test_segments_are_listed_by_writer_in_the_order_of_their_counters(folder: Path) -> None:
    counters = [10, 9, 10**19, 0]
    for boot, slot in (("bbbbbbbb", 0), ("aaaaaaaa", 10), ("aaaaaaaa", 2)):
        for counter in counters:
            (folder / f"s-{boot}-{slot}-{counter:020d}.seg").write_bytes(b"12345")
    for other in (f"{NAME}.new", "s-x.seg", "recorder.lock", "s-aaaaaaaa-0-1.seg", "ballast"):
        (folder / other).write_bytes(b"1234567")
    directory = JournalDirectory(folder)
    names = [f"{boot}-{slot}" for boot, slot in (("aaaaaaaa", 2), ("aaaaaaaa", 10), ("bbbbbbbb", 0))]
    assert directory.segments() == [f"s-{n}-{c:020d}.seg" for n in names for c in sorted(counters)]
    assert directory.bytes_used() == 12 * 5


def test_a_folder_that_is_not_there_yet_has_no_segments(tmp_path: Path) -> None:
    directory = JournalDirectory(tmp_path / "later")
    assert directory.segments() == []
    assert directory.bytes_used() == 0


def test_segments_that_are_gone_already_can_be_unlinked(folder: Path) -> None:
    (folder / NAME).write_bytes(b"")
    directory = JournalDirectory(folder)
    directory.unlink([NAME, NAME, "s-aaaaaaaa-0-00000000000000000001.seg"])
    assert directory.segments() == []


def test_segments_whose_folder_is_gone_can_be_unlinked(folder: Path) -> None:
    directory = JournalDirectory(folder)
    shutil.rmtree(folder)
    directory.unlink([NAME])
    assert directory.segments() == []


def test_a_second_recorder_is_refused_until_the_first_has_gone(folder: Path) -> None:
    first, second = JournalDirectory(folder), JournalDirectory(folder)
    first.lock_recorder()
    with pytest.raises(JournalError, match=r"another recorder reads .*; only one may"):
        second.lock_recorder()
    first.unlock_recorder()
    second.lock_recorder()
    second.unlock_recorder()


def test_a_segment_is_an_orphan_when_its_writer_let_go_of_it_and_never_before(folder: Path) -> None:
    segment = SegmentFile(folder, "0a1b2c3d", 0, 0, "host")
    directory = JournalDirectory(folder)
    assert directory.segments() == []
    assert (folder / (segment.name + NEW_SUFFIX)).exists()
    segment.publish()
    assert directory.segments() == [segment.name]
    for _ in range(3):
        assert not directory.is_orphan(segment.name)
    segment.close()
    for _ in range(3):
        assert directory.is_orphan(segment.name)
    directory.unlink([segment.name])
    with pytest.raises(FileNotFoundError):
        directory.is_orphan(segment.name)


def test_a_hole_at_the_end_of_a_growing_file_hides_nothing_that_is_written_while_it_is_looked_for(
    folder: Path,
) -> None:
    path = folder / "growing"
    path.write_bytes(b"x" * 10)

    class Growing(RealDisk):
        """Something is appended after its size was asked for once."""

        asked = 0

        def size(self, fd: int) -> int:
            self.asked += 1
            if self.asked > 1:
                with path.open("ab") as file:
                    file.write(b"y" * 10)
            return super().size(fd)

    disk = Growing()
    fd = disk.open(path)
    assert disk.next_data(fd, 10) == 10
    disk.close(fd)


def test_types_that_only_the_reader_needs_are_not_told(folder: Path) -> None:
    reading = read_bytes(folder, segment_bytes([FRAMES[0]]))
    assert reading is not None
    assert {each.kind for each in reading.places} == {FrameType.BEGIN}


def test_what_is_unlinked_or_set_aside_is_so_after_a_power_loss_too(folder: Path) -> None:
    (folder / NAME).write_bytes(b"no segment")
    disk = FaultyDisk()
    directory = JournalDirectory(folder, disk)
    directory.unlink([])
    assert disk.calls == []
    directory.set_aside(NAME)
    # Both folders: that of the new entry, and that of the old one.
    assert disk.calls[-3:] == ["rename", "sync_folder", "sync_folder"]
    directory.unlink([NAME, NAME])
    assert disk.calls[-3:] == ["unlink", "unlink", "sync_folder"]


def test_a_file_that_is_no_segment_is_not_left_open(folder: Path) -> None:
    (folder / NAME).write_bytes(b"no segment")
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(FrameError) as caught:
        SegmentReader(JournalDirectory(folder), NAME)
    assert "has no header" in str(caught.value) or "no magic" in str(caught.value)
    assert len(os.listdir("/dev/fd")) == before
