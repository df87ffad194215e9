from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from app.journal.disk import RealDisk
from app.journal.space import BALLAST, BALLAST_BYTES, Space
from tests.fakes.disk import Fault, FaultyDisk, SmallDisk

LARGE_BYTES = 1 << 40
MEBIBYTE = 1 << 20


def fill(folder: Path, size_bytes: int, name: str = "s") -> None:
    """A file that is so large and takes no space."""
    with (folder / name).open("wb") as file:
        file.truncate(size_bytes)


def looked(space: Space) -> bool:
    """Whether it is full after a look."""
    space.look()
    return space.is_full


def test_the_budget_is_full_at_its_last_byte_and_has_room_again_well_below_it(folder: Path) -> None:
    """A journal that hovers at its budget would else change its mind with each segment."""
    space = Space(FaultyDisk(), folder, 1_000, 0)
    results = []
    for size_bytes in (999, 1_000, 999, 950, 949, 999):
        fill(folder, size_bytes)
        results.append(looked(space))
        assert space.used_bytes == size_bytes
    assert results == [False, True, True, True, False, False]


def test_free_space_below_the_minimum_is_full(folder: Path) -> None:
    disk = SmallDisk(folder, 1_000)
    space = Space(disk, folder, LARGE_BYTES, 1_000)
    space._wants_ballast = False
    assert not looked(space)
    fill(folder, 1)
    assert looked(space)
    disk.capacity_bytes = 1_001
    assert not looked(space)


def test_the_ballast_is_kept_while_there_is_room_and_does_not_count(folder: Path) -> None:
    disk = SmallDisk(folder, 10 * BALLAST_BYTES)
    space = Space(disk, folder, LARGE_BYTES, 0)
    assert not looked(space)
    assert disk.sizes(folder) == {BALLAST: BALLAST_BYTES}
    assert not looked(space)
    assert space.used_bytes == 0
    space.drop_ballast()
    space.drop_ballast()
    assert disk.sizes(folder) == {}


def test_a_small_budget_has_no_ballast(folder: Path) -> None:
    for max_bytes, has_ballast in ((16 * BALLAST_BYTES - 1, False), (16 * BALLAST_BYTES, True)):
        assert not looked(Space(FaultyDisk(), folder, max_bytes, 0))
        assert (folder / BALLAST).exists() == has_ballast


def test_a_small_disk_has_a_small_ballast(folder: Path) -> None:
    class Small(RealDisk):
        def whole_bytes(self, path: Path) -> int:
            return 64 * MEBIBYTE

    assert not looked(Space(Small(), folder, LARGE_BYTES, 0))
    assert (folder / BALLAST).stat().st_size == 4 * MEBIBYTE


def test_trouble_with_the_ballast_is_said_once_until_it_is_over(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FaultyDisk(Fault.IO_ERROR, range(3), frozenset({"unlink"}))
    space = Space(disk, folder, LARGE_BYTES, 0)
    for _ in range(6):
        space.write_failed()
        space.look()
        space.look()
    assert [each.message for each in caplog.records].count("ballast_not_removed") == 1


def test_on_a_disk_without_room_the_ballast_goes_and_comes_back_with_room_for_itself(folder: Path) -> None:
    disk = SmallDisk(folder, BALLAST_BYTES + MEBIBYTE)
    space = Space(disk, folder, LARGE_BYTES, MEBIBYTE)
    assert not looked(space)
    fill(folder, 1)
    assert looked(space)
    assert not (folder / BALLAST).exists()
    # Without it there are 16 MiB, which is no room: they are for ends and notes.
    assert looked(space)
    disk.capacity_bytes += 1
    assert not looked(space)
    assert (folder / BALLAST).exists()


def test_a_write_that_failed_is_believed_more_than_the_free_space_that_is_said(folder: Path) -> None:
    """Under a quota statvfs tells of room that is not there; that the ballast fits again is what proves it."""
    disk = SmallDisk(folder, BALLAST_BYTES + MEBIBYTE, tells_free=False)
    space = Space(disk, folder, LARGE_BYTES, 0)
    assert not looked(space)
    fill(folder, 2 * MEBIBYTE)
    space.write_failed()
    assert space.is_full
    assert looked(space)
    assert not (folder / BALLAST).exists()
    assert looked(space)
    disk.capacity_bytes += 2 * MEBIBYTE
    assert not looked(space)
    assert (folder / BALLAST).exists()


def test_a_write_that_fails_while_it_looks_is_not_forgotten(folder: Path) -> None:
    class Meanwhile(FaultyDisk):
        def free_bytes(self, path: Path) -> int:
            space.write_failed()
            return super().free_bytes(path)

    space = Space(Meanwhile(), folder, LARGE_BYTES, 0)
    assert looked(space)


def test_after_a_write_failed_it_looks_at_once_and_else_only_now_and_then(folder: Path) -> None:
    space = Space(FaultyDisk(), folder, 1_000, 0)
    assert space.look_if_due()
    assert not space.look_if_due()
    space.write_failed()
    assert space.look_if_due()
    assert space.is_full, "felt until the next look"
    assert not space.look_if_due()
    assert not looked(space)


def test_a_folder_that_takes_long_to_look_at_is_looked_at_less_often(folder: Path) -> None:
    class Slow(FaultyDisk):
        def sizes(self, path: Path) -> dict[str, int]:
            threading.Event().wait(0.1)
            return super().sizes(path)

    fill(folder, 1_000)
    quick, slow = Space(FaultyDisk(), folder, 1, 0), Space(Slow(), folder, 1, 0)
    for space in (slow, quick):
        assert looked(space)
    threading.Event().wait(0.15)
    assert quick.look_if_due()
    assert not slow.look_if_due()  # not before two seconds


@pytest.mark.parametrize(("number", "names"), [(errno.ENOENT, frozenset()), (errno.EIO, None)])
def test_a_folder_that_cannot_be_looked_at_is_full(
    folder: Path, number: int, names: frozenset[str] | None
) -> None:
    """That it is gone is known of a folder that is gone; nothing is known after another error."""

    class Lost(FaultyDisk):
        def sizes(self, path: Path) -> dict[str, int]:
            if self.calls:
                raise OSError(number, os.strerror(number))
            return super().sizes(path)

    space = Space(Lost(), folder, 1_000, 0)
    assert not looked(space)
    assert looked(space)
    assert space.names == names


@pytest.mark.parametrize("call", ["allocate", "unlink"])
def test_trouble_with_the_ballast_raises_nothing(folder: Path, call: str) -> None:
    disk = FaultyDisk(Fault.IO_ERROR, range(100), frozenset({call}))
    space = Space(disk, folder, 20 * BALLAST_BYTES, 0)
    space.look()
    space.write_failed()
    space.look()
    space.drop_ballast()
    assert disk.failed
