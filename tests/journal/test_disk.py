from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app.journal.disk import RealDisk


@pytest.fixture
def disk() -> RealDisk:
    return RealDisk()


def test_a_file_that_is_there_is_never_made_again(folder: Path, disk: RealDisk) -> None:
    (folder / "x").write_bytes(b"kept")
    with pytest.raises(FileExistsError):
        disk.create(folder / "x")
    assert (folder / "x").read_bytes() == b"kept"


def test_appending_goes_to_the_end_whatever_else_the_file_has_become(folder: Path, disk: RealDisk) -> None:
    fd = disk.create(folder / "x")
    assert stat.S_IMODE((folder / "x").stat().st_mode) == 0o600
    assert disk.append(fd, [b"ab", b"", b"cd"]) == 4
    disk.truncate(fd, 3)
    assert disk.append(fd, [b"e"]) == 1
    assert disk.size(fd) == 4
    disk.sync(fd)
    disk.close(fd)
    assert (folder / "x").read_bytes() == b"abce"


def test_a_lock_is_had_once_and_given_back_by_closing(folder: Path, disk: RealDisk) -> None:
    first, second = disk.open_lock(folder / "x"), disk.open_lock(folder / "x")
    assert disk.try_lock(first)
    assert disk.try_lock(first)
    assert not disk.try_lock(second)
    disk.close(first)
    assert disk.try_lock(second)
    disk.close(second)


def test_reading_gives_what_is_there_and_no_more(folder: Path, disk: RealDisk) -> None:
    (folder / "x").write_bytes(b"abcdef")
    fd = disk.open(folder / "x")
    assert [disk.read(fd, 4, offset) for offset in (0, 4, 6, 99)] == [b"abcd", b"ef", b"", b""]
    disk.close(fd)


def test_a_hole_ends_where_bytes_begin_or_the_file_does(folder: Path, disk: RealDisk) -> None:
    block = 1 << 20
    with (folder / "x").open("wb") as file:
        file.write(b"a" * 10)
        file.seek(4 * block)
        file.write(b"b" * 10)
        file.truncate(9 * block)
    fd = disk.open(folder / "x")
    assert disk.next_data(fd, 5) == 5
    assert block < disk.next_data(fd, block) <= 4 * block
    assert disk.next_data(fd, 6 * block) == 9 * block
    disk.close(fd)


def test_only_plain_files_are_listed(folder: Path, disk: RealDisk) -> None:
    (folder / "x").write_bytes(b"abc")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(folder / "x")
    assert disk.sizes(folder) == {"x": 3}
    with pytest.raises(FileNotFoundError):
        disk.sizes(folder / "none")


@pytest.mark.parametrize("size_bytes", [0, 1, (1 << 20) + 7])
def test_what_is_allocated_really_takes_its_space(folder: Path, disk: RealDisk, size_bytes: int) -> None:
    disk.allocate(folder / "x", size_bytes)
    found = (folder / "x").stat()
    assert found.st_size == size_bytes
    assert found.st_blocks * 512 >= size_bytes


def test_removing_what_is_gone_is_no_error_and_renaming_it_is(folder: Path, disk: RealDisk) -> None:
    disk.unlink(folder / "x")
    with pytest.raises(FileNotFoundError):
        disk.rename(folder / "x", folder / "y")
