"""One segment file: its name, its birth under `.new`, appending all or nothing, its seal."""

from __future__ import annotations

import errno
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from app.clock import monotonic_ns, wall_ns
from app.errors import JournalError
from app.exchange import FrameType, SegmentHeader
from app.journal.disk import Disk, RealDisk
from app.journal.frame import FORMAT_VERSION, NO_EXCHANGE, encode_frame, salt_crc

if TYPE_CHECKING:
    from pathlib import Path

NEW_SUFFIX = ".new"
MAX_BUFFERS = 1000
"""Buffers in one writev; IOV_MAX is 1024 on Linux and macOS."""
_NAME = re.compile(r"s-([0-9a-f]{8})-(0|[1-9][0-9]{0,4})-([0-9]{20})\.seg")


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """What a segment's file name says."""

    boot: str
    slot: int
    counter: int

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """The parts of a file name, or None where it is no segment's."""
        match = _NAME.fullmatch(name)
        return cls(match[1], int(match[2]), int(match[3])) if match else None

    def __str__(self) -> str:
        return f"s-{self.boot}-{self.slot}-{self.counter:020d}.seg"


class SegmentFile:
    """A segment being written: locked for as long as it is open, known to readers once it is published."""

    def __init__(
        self, folder: Path, boot: str, slot: int, counter: int, hostname: str, disk: Disk | None = None
    ) -> None:
        """Makes the file under its `.new` name with its header. Raises OSError, JournalError."""
        self._disk = disk or RealDisk()
        self._folder = folder
        self.name = str(SegmentName(boot, slot, counter))
        self.is_published = False
        """It has its name: readers may know it."""
        self.is_suspect = False
        """A sync failed: what was written may not be on the disk, and is not synced again."""
        self.has_failed = False
        """A write failed, perhaps for this file alone: a limit on its size, a bad block."""
        self.is_broken = False
        """It ends in a torn frame that could not be cut off: nothing more may be appended."""
        self._fd: int | None = self._disk.create(folder / (self.name + NEW_SUFFIX))
        self.size_bytes = 0
        self.started_ns = monotonic_ns()
        try:
            if not self._disk.try_lock(self._fd):
                raise JournalError(f"{self.name} is locked by another process")
            self.start_crc = salt_crc(b"")
            salt = secrets.token_bytes(16)
            header = SegmentHeader(
                FORMAT_VERSION,
                secrets.token_bytes(16),
                salt,
                boot,
                slot,
                counter,
                hostname,
                wall_ns(),
                self.started_ns,
            )
            self.append(FrameType.HEADER, NO_EXCHANGE, self.started_ns, 0, msgspec.msgpack.encode(header))
            self.start_crc = salt_crc(salt)
            self.header_bytes = self.size_bytes
        except (OSError, JournalError):
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<SegmentFile {self.name} {self.size_bytes} bytes>"

    @property
    def is_empty(self) -> bool:
        """Nothing but the header was written."""
        return self.size_bytes == self.header_bytes

    def append(
        self, kind: int, exchange_id: bytes, monotonic_ns: int, sequence: int, payload: bytes, flags: int = 0
    ) -> int:
        """Appends one frame; gives its offset. Raises OSError, and then nothing was appended."""
        offset = self.size_bytes
        header = encode_frame(self.start_crc, kind, exchange_id, monotonic_ns, sequence, payload, flags)
        self.append_buffers([header, payload], len(header) + len(payload))
        return offset

    def append_buffers(self, buffers: Sequence[bytes], size_bytes: int) -> None:
        """Appends whole frames, a header and a payload each, of so many bytes together.

        Raises OSError, JournalError; then `size_bytes` tells how many of the frames, from the first, are in the file.
        """
        if self._fd is None or self.is_broken:
            raise JournalError(f"{self.name} takes no more frames")
        written = 0
        try:
            if len(buffers) <= MAX_BUFFERS:
                written = self._disk.append(self._fd, buffers)
            else:
                written = self._append_parts(self._fd, buffers)
            if written != size_bytes:
                # Of a file only a lack of room is written in part: the disk's, a quota's or a limit's.
                raise OSError(errno.ENOSPC, f"{written} of {size_bytes} bytes were written")
        except OSError:
            self._cut_back(self._fd, buffers, written)
            raise
        self.size_bytes += size_bytes

    def _append_parts(self, fd: int, buffers: Sequence[bytes]) -> int:
        written = 0
        for at in range(0, len(buffers), MAX_BUFFERS):
            part = buffers[at : at + MAX_BUFFERS]
            part_bytes = sum([len(each) for each in part])
            try:
                part_written = self._disk.append(fd, part)
            except OSError:
                break
            written += part_written
            if part_written != part_bytes:
                break
        return written

    def _cut_back(self, fd: int, buffers: Sequence[bytes], written: int) -> None:
        """Cuts off a frame that was written in part: in the middle it would cost the reader a search.

        Frames that are whole stay: a reader may have taken them, and what comes next must not stand in their place.
        """
        self.has_failed = True
        for header, payload in zip(buffers[::2], buffers[1::2], strict=True):
            frame_bytes = len(header) + len(payload)
            if written < frame_bytes:
                break
            written -= frame_bytes
            self.size_bytes += frame_bytes
        try:
            self._disk.truncate(fd, self.size_bytes)
        except OSError:
            # Offsets would be wrong from here on.
            self.is_broken = True

    def seal(self) -> None:
        """Says that the writer ended it; a missing seal only means that it could not."""
        self.append(FrameType.SEAL, NO_EXCHANGE, monotonic_ns(), 0, b"suspect" if self.is_suspect else b"")

    def sync(self) -> None:
        """Forces all that was appended to the disk. Raises OSError; it is suspect then."""
        if self._fd is None:
            return
        try:
            self._disk.sync(self._fd)
        except OSError:
            self.is_suspect = True
            raise

    def publish(self) -> None:
        """Gives it the name under which readers look for it, durably. Raises OSError, perhaps with the name given."""
        self.sync()
        self._disk.rename(self._folder / (self.name + NEW_SUFFIX), self._folder / self.name)
        self.is_published = True
        self._disk.sync_folder(self._folder)

    def close(self) -> None:
        """Gives the lock back; a segment that was never published is removed."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        try:
            if not self.is_published:
                self._disk.unlink(self._folder / (self.name + NEW_SUFFIX))
        finally:
            self._disk.close(fd)
