from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

import pytest

from app.errors import JournalError
from app.exchange import FrameType
from app.journal.disk import RealDisk
from app.journal.frame import encode_frame
from app.journal.reader import JournalDirectory
from app.journal.segment import MAX_BUFFERS, NEW_SUFFIX, SegmentFile, SegmentName
from tests.fakes.disk import Fault, FaultyDisk, SmallDisk
from tests.journal.segments import exchange_id, read_file

OWNER = exchange_id(1)


def make(folder: Path, disk: FaultyDisk | SmallDisk | None = None) -> SegmentFile:
    segment = SegmentFile(folder, "0a1b2c3d", 2, 7, "host", disk)
    segment.publish()
    return segment


def batch(segment: SegmentFile, payloads: list[bytes]) -> tuple[list[bytes], int]:
    """Buffers of frames numbered from 0, and their size."""
    buffers: list[bytes] = []
    for sequence, payload in enumerate(payloads):
        buffers += (encode_frame(segment.start_crc, 4, OWNER, 1, sequence, payload), payload)
    return buffers, sum(map(len, buffers))


def test_a_name_says_boot_slot_and_counter() -> None:
    name = SegmentName("0a1b2c3d", 32_767, 10**19)
    assert str(name) == "s-0a1b2c3d-32767-10000000000000000000.seg"
    assert SegmentName.parse(str(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "s-0a1b2c3d-0-0.seg",
        "s-0A1B2C3D-0-00000000000000000000.seg",
        "s-0a1b2c3d--1-00000000000000000000.seg",
        "s-0a1b2c3d-0-00000000000000000000.seg.new",
        "s-0a1b2c3d-0-00000000000000000000.seg\n",
        "s-0a1b2c3d-٣-00000000000000000000.seg",
        "s-0a1b2c3d-07-00000000000000000000.seg",
        "../s-0a1b2c3d-0-00000000000000000000.seg",
        "",
    ],
)
def test_other_files_are_no_segments(name: str) -> None:
    assert SegmentName.parse(name) is None


def test_a_segment_is_for_its_owner_alone_and_appears_under_its_name_locked_with_a_header(
    folder: Path,
) -> None:
    segment = SegmentFile(folder, "0a1b2c3d", 2, 7, "host")
    new = folder / (segment.name + NEW_SUFFIX)
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert not JournalDirectory(folder).is_orphan(new.name)
    segment.publish()
    assert not new.exists()
    assert read_file(folder, segment.name).frames == []
    assert segment.is_empty
    segment.close()


def test_no_child_inherits_a_descriptor(folder: Path) -> None:
    disk = RealDisk()
    for fd in (disk.create(folder / "x"), disk.open(folder / "x"), disk.open_lock(folder / "y")):
        assert not os.get_inheritable(fd)
        disk.close(fd)


def test_a_segment_that_was_never_published_is_removed(folder: Path) -> None:
    segment = SegmentFile(folder, "0a1b2c3d", 2, 7, "host")
    segment.append(FrameType.END, OWNER, 1, 0, b"")
    segment.close()
    segment.close()
    assert list(folder.iterdir()) == []


def test_more_buffers_than_one_call_takes_are_written_in_several(folder: Path) -> None:
    segment = make(folder)
    payloads = [b"%d" % n for n in range(2 * MAX_BUFFERS)]
    segment.append_buffers(*batch(segment, payloads))
    segment.seal()
    segment.close()
    reading = read_file(folder, segment.name)
    assert [each.payload for each in reading.places] == payloads
    assert reading.sealed


def test_an_offset_is_where_the_frame_stands(folder: Path) -> None:
    segment = make(folder)
    offsets = [segment.append(FrameType.END, OWNER, 1, n, b"x" * n) for n in range(5)]
    segment.close()
    assert [each.offset for each in read_file(folder, segment.name).places] == offsets


@pytest.mark.parametrize("capacity", range(250, 700, 7))
def test_a_full_disk_leaves_the_frames_that_were_whole_and_no_torn_one(folder: Path, capacity: int) -> None:
    segment = make(folder, SmallDisk(folder, capacity))
    payloads = [b"a" * 10, b"b" * 80, b"c" * 200]
    ends = [segment.size_bytes + n for n in (44 + 10, 2 * 44 + 90, 3 * 44 + 290)]
    kept = sum(end <= capacity for end in ends)
    with contextlib.nullcontext() if kept == 3 else pytest.raises(OSError):
        segment.append_buffers(*batch(segment, payloads))
    assert segment.size_bytes == (folder / segment.name).stat().st_size
    assert not segment.is_broken
    segment.close()
    reading = read_file(folder, segment.name)
    assert [each.payload for each in reading.places] == payloads[:kept]
    assert (reading.damaged_bytes, reading.torn_bytes) == (0, 0)


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failure_between_the_parts_of_a_long_batch_leaves_whole_frames(folder: Path, failing: int) -> None:
    for fault in (Fault.SHORT_WRITE, Fault.NO_SPACE):
        disk = FaultyDisk(fault, 1 + failing, frozenset({"append"}))
        segment = make(folder, disk)
        payloads = [b"%d" % n for n in range(MAX_BUFFERS * 3 // 2)]
        with pytest.raises(OSError, match="bytes were written"):
            segment.append_buffers(*batch(segment, payloads))
        segment.append(FrameType.END, OWNER, 1, 9_999, b"after")
        segment.close()
        reading = read_file(folder, segment.name)
        found = [each.payload for each in reading.places]
        assert MAX_BUFFERS // 2 * failing <= len(found) - 1 < len(payloads)
        assert found == [*payloads[: len(found) - 1], b"after"]
        assert (reading.damaged_bytes, reading.torn_bytes) == (0, 0)
        (folder / segment.name).unlink()


def test_a_torn_frame_that_cannot_be_cut_off_is_the_last_thing_in_its_segment(folder: Path) -> None:
    class Stubborn(FaultyDisk):
        def truncate(self, fd: int, size_bytes: int) -> None:
            raise OSError(errno.EIO, "no")

    segment = make(folder, Stubborn(Fault.SHORT_WRITE, 1, frozenset({"append"})))
    with pytest.raises(OSError, match="bytes were written"):
        segment.append(FrameType.END, OWNER, 1, 0, b"x" * 100)
    assert segment.is_broken
    with pytest.raises(JournalError, match="takes no more frames"):
        segment.append(FrameType.END, OWNER, 1, 1, b"")
    with pytest.raises(JournalError):
        segment.seal()
    segment.close()
    reading = read_file(folder, segment.name)
    assert reading.frames == []
    assert reading.torn_bytes > 0


def test_a_segment_whose_sync_failed_says_so_in_its_seal(folder: Path) -> None:
    segment = make(folder, FaultyDisk(Fault.IO_ERROR, 1, frozenset({"sync"})))
    with pytest.raises(OSError, match="Input/output error"):
        segment.sync()
    assert segment.is_suspect
    segment.seal()
    segment.close()
    assert read_file(folder, segment.name).sealed
    assert (folder / segment.name).read_bytes().endswith(b"suspect")


@pytest.mark.parametrize("call", ["create", "try_lock", "append", "sync", "rename"])
def test_a_birth_that_fails_leaves_nothing_behind(folder: Path, call: str) -> None:
    before = set(os.listdir("/dev/fd"))
    disk = FaultyDisk(Fault.NO_SPACE, 0, frozenset({call}))
    with pytest.raises(OSError, match="No space left"):
        segment = SegmentFile(folder, "0a1b2c3d", 2, 7, "host", disk)
        try:
            segment.publish()
        finally:
            segment.close()
    assert list(folder.iterdir()) == []
    assert len(os.listdir("/dev/fd")) == len(before)
