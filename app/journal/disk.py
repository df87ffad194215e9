"""The journal's only door to the file system: a Protocol, so that tests can fail any call, and the real one."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_SEEK_DATA = getattr(os, "SEEK_DATA", None)
_sync = getattr(os, "fdatasync", os.fsync)


class Disk(Protocol):
    """What the journal asks of a file system; every method may raise OSError."""

    def make_folder(self, path: Path) -> None:
        """Makes a folder and its parents, for the owner alone; one that is there is taken."""

    def create(self, path: Path) -> int:
        """A new file to append to; it may not exist."""

    def open(self, path: Path) -> int:
        """An existing file to read."""

    def open_lock(self, path: Path) -> int:
        """A file to lock, made if it is not there."""

    def try_lock(self, fd: int) -> bool:
        """Takes the exclusive lock of an open file; False where another has it. Closing the file gives it back."""

    def append(self, fd: int, buffers: Sequence[bytes]) -> int:
        """Appends in one call; gives how many bytes were written, which may be too few."""

    def truncate(self, fd: int, size_bytes: int) -> None:
        """Cuts a file."""

    def sync(self, fd: int) -> None:
        """Forces a file's bytes to the disk."""

    def sync_folder(self, path: Path) -> None:
        """Forces a folder's entries to the disk."""

    def read(self, fd: int, size_bytes: int, offset: int) -> bytes:
        """At most so many bytes from an offset; fewer at the end."""

    def next_data(self, fd: int, offset: int) -> int:
        """The next offset that is not in a hole of a sparse file; the size where there is none."""

    def size(self, fd: int) -> int:
        """A file's size in bytes."""

    def close(self, fd: int) -> None:
        """Closes a file and gives back its lock."""

    def rename(self, old: Path, new: Path) -> None:
        """Renames within a file system, replacing what is there."""

    def unlink(self, path: Path) -> None:
        """Removes a file; one that is gone is no error."""

    def sizes(self, path: Path) -> dict[str, int]:
        """The files of a folder with their sizes in bytes."""

    def modified_ns(self, path: Path) -> int:
        """When a file was last written to, nanoseconds of the wall clock."""

    def free_bytes(self, path: Path) -> int:
        """Bytes that an unprivileged user may still write."""

    def whole_bytes(self, path: Path) -> int:
        """How large its file system is."""

    def allocate(self, path: Path, size_bytes: int) -> None:
        """Makes a file that really takes so much space."""

    def kind(self, path: Path) -> str:
        """The file system's type, as `ext4`; empty where it cannot be told."""


class RealDisk:
    """The file system of this machine."""

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)

    def create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _FILE_MODE)

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def open_lock(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)

    def try_lock(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def append(self, fd: int, buffers: Sequence[bytes]) -> int:
        return os.writev(fd, buffers)

    def truncate(self, fd: int, size_bytes: int) -> None:
        os.ftruncate(fd, size_bytes)

    def sync(self, fd: int) -> None:
        _sync(fd)

    def sync_folder(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def read(self, fd: int, size_bytes: int, offset: int) -> bytes:
        return os.pread(fd, size_bytes, offset)

    def next_data(self, fd: int, offset: int) -> int:
        if _SEEK_DATA is None:
            return offset
        size = self.size(fd)  # taken first: what is appended meanwhile is not in the hole
        try:
            return os.lseek(fd, offset, _SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return max(offset, size)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def close(self, fd: int) -> None:
        os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sizes(self, path: Path) -> dict[str, int]:
        found = {}
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        found[entry.name] = entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    # Unlinked while we looked.
                    continue
        return found

    def modified_ns(self, path: Path) -> int:
        return path.stat().st_mtime_ns

    def free_bytes(self, path: Path) -> int:
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def whole_bytes(self, path: Path) -> int:
        found = os.statvfs(path)
        return found.f_blocks * found.f_frsize

    def allocate(self, path: Path, size_bytes: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
        try:
            # posix_fallocate is not everywhere, and not on every file system where it is.
            left = size_bytes
            while left > 0:
                left -= os.write(fd, bytes(min(left, 1 << 20)))
        finally:
            os.close(fd)

    def kind(self, path: Path) -> str:
        try:
            lines = Path("/proc/self/mounts").read_text().splitlines()
        except OSError:
            return ""
        mounts = [line.split(" ")[1:3] for line in lines]
        above = [(point, kind) for point, kind in mounts if path.resolve().is_relative_to(point)]
        return max(above, key=lambda each: len(each[0]), default=("", ""))[1]
