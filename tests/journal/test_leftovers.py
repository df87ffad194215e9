from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.journal.disk import RealDisk
from app.journal.leftovers import YOUNG_NS, remove_leftovers
from app.journal.segment import NEW_SUFFIX, SegmentFile, SegmentName

LONG_AGO = (1, 1)


def leftover(folder: Path, counter: int) -> Path:
    """What an old maker left."""
    path = folder / (str(SegmentName("0a1b2c3d", 0, counter)) + NEW_SUFFIX)
    path.write_bytes(b"half a header")
    os.utime(path, LONG_AGO)
    return path


def test_old_leftovers_of_the_dead_are_removed_and_nothing_else(folder: Path) -> None:
    leftover(folder, 1)
    leftover(folder, 2)
    kept = [folder / str(SegmentName("0a1b2c3d", 0, 3)), folder / "ballast", folder / "recorder.lock"]
    for path in kept:
        path.write_bytes(b"")
        os.utime(path, LONG_AGO)
    remove_leftovers(RealDisk(), folder)
    assert set(folder.iterdir()) == set(kept)


def test_what_a_living_maker_has_locked_is_kept_however_old(folder: Path) -> None:
    segment = SegmentFile(folder, "0a1b2c3d", 0, 0, "host")
    path = folder / (segment.name + NEW_SUFFIX)
    os.utime(path, LONG_AGO)
    remove_leftovers(RealDisk(), folder)
    assert path.exists()
    segment.publish()
    segment.close()


def test_what_may_be_between_its_making_and_its_locking_is_kept(folder: Path) -> None:
    path = leftover(folder, 1)
    os.utime(path)
    remove_leftovers(RealDisk(), folder)
    assert path.exists()
    assert YOUNG_NS >= 10_000_000_000


@pytest.mark.parametrize("before", ["open", "modified_ns", "unlink"])
def test_a_leftover_that_its_maker_or_another_start_takes_away_meanwhile_stops_nothing(
    folder: Path, before: str
) -> None:
    paths = [leftover(folder, counter) for counter in range(3)]

    class Meanwhile(RealDisk):
        taken = 0

        def take(self, name: str, path: Path) -> None:
            if name == before and not self.taken:
                self.taken += 1
                path.rename(path.with_suffix(""))

        def open(self, path: Path) -> int:
            self.take("open", path)
            return super().open(path)

        def modified_ns(self, path: Path) -> int:
            self.take("modified_ns", path)
            return super().modified_ns(path)

        def unlink(self, path: Path) -> None:
            self.take("unlink", path)
            super().unlink(path)

    before_fds = len(os.listdir("/dev/fd"))
    disk = Meanwhile()
    remove_leftovers(disk, folder)
    assert disk.taken == 1
    assert [path.name for path in folder.iterdir()] in [[path.with_suffix("").name] for path in paths]
    assert len(os.listdir("/dev/fd")) == before_fds
