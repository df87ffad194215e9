"""Disks that go wrong: the real file system, of which one call fails, or which is small."""

from __future__ import annotations

import enum
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from app.journal.disk import RealDisk


class Fault(enum.Enum):
    """What goes wrong."""

    NO_SPACE = errno.ENOSPC
    IO_ERROR = errno.EIO
    SHORT_WRITE = 0
    """An append writes only a part; any other call fails with EIO."""
    CRASH = -1
    """This call and all after it do nothing any more, as if the process had died before it."""


class FaultyDisk(RealDisk):
    """Counts calls and makes some of them fail; `fails_at` are their indexes, from 0, among those named in `only`."""

    def __init__(
        self,
        fault: Fault = Fault.IO_ERROR,
        fails_at: int | range = -1,
        only: frozenset[str] | None = None,
    ) -> None:
        self.fault = fault
        self.fails_at = fails_at if isinstance(fails_at, range) else range(fails_at, fails_at + 1)
        self.only = only
        self.calls: list[str] = []
        self.failed = 0
        self._lock = threading.Lock()

    def _goes_wrong(self, name: str) -> bool:
        with self._lock:
            if self.only is not None and name not in self.only:
                return False
            at = len(self.calls)
            self.calls.append(name)
            fails = at in self.fails_at or (self.fault is Fault.CRASH and self.failed > 0)
            self.failed += fails
            return fails

    def _try(self, name: str) -> None:
        if self._goes_wrong(name):
            number = self.fault.value if self.fault.value > 0 else errno.EIO
            raise OSError(number, os.strerror(number))

    def make_folder(self, path: Path) -> None:
        self._try("make_folder")
        super().make_folder(path)

    def create(self, path: Path) -> int:
        self._try("create")
        return super().create(path)

    def try_lock(self, fd: int) -> bool:
        self._try("try_lock")
        return super().try_lock(fd)

    def append(self, fd: int, buffers: Sequence[bytes]) -> int:
        if self._goes_wrong("append"):
            if self.fault is not Fault.SHORT_WRITE:
                number = self.fault.value if self.fault.value > 0 else errno.EIO
                raise OSError(number, os.strerror(number))
            data = b"".join(buffers)
            return super().append(fd, [data[: len(data) * 2 // 3]])
        return super().append(fd, buffers)

    def truncate(self, fd: int, size_bytes: int) -> None:
        self._try("truncate")
        super().truncate(fd, size_bytes)

    def sync(self, fd: int) -> None:
        self._try("sync")
        super().sync(fd)

    def sync_folder(self, path: Path) -> None:
        self._try("sync_folder")
        super().sync_folder(path)

    def close(self, fd: int) -> None:
        super().close(fd)  # a process that dies gives its locks back, too
        self._try("close")

    def rename(self, old: Path, new: Path) -> None:
        self._try("rename")
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._try("unlink")
        super().unlink(path)

    def sizes(self, path: Path) -> dict[str, int]:
        self._try("sizes")
        return super().sizes(path)

    def free_bytes(self, path: Path) -> int:
        self._try("free_bytes")
        return super().free_bytes(path)

    def whole_bytes(self, path: Path) -> int:
        self._try("whole_bytes")
        return super().whole_bytes(path)

    def allocate(self, path: Path, size_bytes: int) -> None:
        self._try("allocate")
        super().allocate(path, size_bytes)


class SmallDisk(RealDisk):
    """A file system with room for `capacity_bytes` below one folder: what does not fit is written in part."""

    def __init__(self, folder: Path, capacity_bytes: int, *, tells_free: bool = True) -> None:
        self._folder = folder
        self.capacity_bytes = capacity_bytes
        self.tells_free = tells_free
        """False: as under a quota, of which statvfs knows nothing."""

    def room_bytes(self) -> int:
        """What still fits."""
        return max(0, self.capacity_bytes - sum(self.sizes(self._folder).values()))

    def free_bytes(self, path: Path) -> int:
        return self.room_bytes() if self.tells_free else 1 << 40

    def whole_bytes(self, path: Path) -> int:
        return 1 << 40  # as under a quota

    def append(self, fd: int, buffers: Sequence[bytes]) -> int:
        room = self.room_bytes()
        data = b"".join(buffers)
        if room == 0 and data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().append(fd, [data[:room]])

    def allocate(self, path: Path, size_bytes: int) -> None:
        if size_bytes > self.room_bytes():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().allocate(path, size_bytes)
