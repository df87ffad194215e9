"""Reading the journal: its folder, and one segment after the other, whatever is in them.

Nothing in a segment is trusted: lengths are checked before anything is read, damage is passed over and counted, and a
file that cannot be a segment is set aside. No bytes in a journal may stop its reader.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from app.errors import FrameError, JournalError
from app.exchange import FrameType, SegmentHeader
from app.journal.disk import Disk, RealDisk
from app.journal.frame import (
    FORMAT_VERSION,
    HEADER_BYTES,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    Frame,
    decode_frame,
    is_known,
    salt_crc,
)
from app.journal.segment import SegmentName

if TYPE_CHECKING:
    from pathlib import Path

RECORDER_LOCK = "recorder.lock"
QUARANTINE = "quarantine"
READ_BYTES = 1 << 20
_HEADER_MAX_BYTES = 400
"""No header frame is longer: what is no larger holds nothing yet."""
SEARCH_BYTES = 32 << 20
"""Bytes that a search may check in vain before it believes in short frames only: a payload may be full of magics."""
SHORT_PAYLOAD_BYTES = 4 << 10
_LONGEST_FRAME_BYTES = HEADER_BYTES + MAX_PAYLOAD_BYTES
_UNTOLD = (FrameType.HEADER, FrameType.SEAL)


class JournalDirectory:
    """One journal's folder, for its recorder and for whoever looks at it."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self.path = path
        self.disk = disk or RealDisk()
        self._recorder_lock: int | None = None

    def segments(self) -> list[str]:
        """File names of all segments, by writer and then in the order in which they were written."""
        names = (SegmentName.parse(each) for each in self._sizes())
        return [str(each) for each in sorted(each for each in names if each is not None)]

    def lock_recorder(self) -> None:
        """Takes the place of the journal's one recorder. Raises JournalError where there is another."""
        self.disk.make_folder(self.path)
        fd = self.disk.open_lock(self.path / RECORDER_LOCK)
        if not self.disk.try_lock(fd):
            self.disk.close(fd)
            raise JournalError(f"another recorder reads {self.path}; only one may")
        self._recorder_lock = fd

    def unlock_recorder(self) -> None:
        """Makes place for another recorder."""
        fd, self._recorder_lock = self._recorder_lock, None
        if fd is not None:
            self.disk.close(fd)

    def is_orphan(self, name: str) -> bool:
        """True where nobody holds a segment's lock. Raises FileNotFoundError.

        A writer locks a segment before it has its name and never takes the lock again, so an orphan stays one, and
        the lock that is taken here to see can be given back at once.
        """
        fd = self.disk.open(self.path / name)
        try:
            return self.disk.try_lock(fd)
        finally:
            self.disk.close(fd)

    def unlink(self, names: list[str]) -> None:
        """Removes segments in this order; what is gone already is no error. Needs no space on the disk."""
        for name in names:
            self.disk.unlink(self.path / name)
        if names:
            # Where the folder itself was taken away, nothing of them can come back.
            with contextlib.suppress(FileNotFoundError):
                self.disk.sync_folder(self.path)

    def set_aside(self, name: str) -> None:
        """Moves a file that is no readable segment into quarantine/, where nothing is deleted."""
        folder = self.path / QUARANTINE
        self.disk.make_folder(folder)
        self.disk.rename(self.path / name, folder / name)
        self.disk.sync_folder(folder)
        self.disk.sync_folder(self.path)

    def bytes_used(self) -> int:
        """What the segments take."""
        return sum(size for name, size in self._sizes().items() if SegmentName.parse(name))

    def written(self) -> list[str]:
        """File names of the segments that hold more than a header."""
        sizes = self._sizes().items()
        return [name for name, size in sizes if SegmentName.parse(name) and size > _HEADER_MAX_BYTES]

    def oldest_write_ns(self) -> int | None:
        """When the segment that was left alone for longest was written to; None where none holds more than a header."""
        found = []
        for name in self.written():
            try:
                found.append(self.disk.modified_ns(self.path / name))
            except FileNotFoundError:
                # Let go of meanwhile.
                continue
        return min(found, default=None)

    def _sizes(self) -> dict[str, int]:
        try:
            return self.disk.sizes(self.path)
        except FileNotFoundError:
            return {}


class SegmentReader:
    """Reads one segment forward; knows how much of it was no frame."""

    def __init__(self, directory: JournalDirectory, name: str) -> None:
        """Opens a segment. Raises OSError, and FrameError where its header is damaged or of another version."""
        self._disk = directory.disk
        self.name = name
        self._fd: int | None = self._disk.open(directory.path / name)
        self._is_final = False
        self._doubted_offset = -1
        self._vain_bytes = 0
        self.sealed = False
        """The SEAL frame was read: nothing comes behind it."""
        self.damaged_bytes = 0
        self.torn_bytes = 0
        try:
            self.header, self.offset = self._read_header()
        except FrameError:
            self.close()
            raise
        self._start_crc = salt_crc(self.header.salt)

    def __repr__(self) -> str:
        return f"<SegmentReader {self.name} at {self.offset}>"

    def read(self, max_bytes: int = READ_BYTES) -> list[Frame]:
        """The next whole frames, about max_bytes of them; none where nothing new is there yet."""
        while not self.sealed:
            start = self.offset
            frames = self._read_window(max_bytes)
            if frames or self.offset == start:
                return frames
        return []

    def finish(self) -> None:
        """Says that nothing will be written any more: `read` then passes over a tail that is no whole frame."""
        self._is_final = True

    def payload_at(self, offset: int) -> Frame:
        """Reads one frame again. Raises FrameError where it is not what it was."""
        head = self._pread(HEADER_BYTES, offset)
        length = int.from_bytes(head[8:12], "little")
        data = head + self._pread(min(length, MAX_PAYLOAD_BYTES), offset + HEADER_BYTES)
        frame = decode_frame(data, 0, self._start_crc, offset)
        if frame is None:
            raise FrameError(f"{self.name} ends within the frame at {offset}")
        return frame

    def close(self) -> None:
        """Closes the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            self._disk.close(fd)

    def _read_header(self) -> tuple[SegmentHeader, int]:
        frame = decode_frame(self._pread(READ_BYTES, 0), 0, salt_crc(b""))
        if frame is None or frame.kind != FrameType.HEADER:
            raise FrameError(f"{self.name} has no header")
        try:
            header = msgspec.msgpack.decode(frame.payload, type=SegmentHeader)
        except msgspec.MsgspecError as error:
            raise FrameError(f"{self.name} has a damaged header") from error
        if header.format_version != FORMAT_VERSION:
            raise FrameError(f"{self.name} is of format version {header.format_version}")
        return header, frame.size_bytes

    def _read_window(self, max_bytes: int) -> list[Frame]:
        data = self._pread(max_bytes, self.offset)
        frames: list[Frame] = []
        position = 0
        while position < len(data) and not self.sealed:
            try:
                frame = self._decode(data, position)
            except FrameError:
                frame = None
                is_damaged = True
            else:
                is_damaged = False
            if frame is not None:
                position += frame.size_bytes
                self._take(frame, frames)
            elif is_damaged and self._is_doubted(self.offset + position):
                break
            elif is_damaged:
                position = self._skip_damage(data, position)
                self._doubted_offset = self.offset + position
            elif position == 0 and len(data) < _LONGEST_FRAME_BYTES and self._has_more(len(data)):
                # The frame is longer than the window.
                data = self._pread(_LONGEST_FRAME_BYTES, self.offset)
            elif position == 0 and self._is_final:
                position = self._skip_tail(data)
            else:
                break
        self.offset += position
        if self.sealed:
            self.damaged_bytes += max(0, self._disk.size(self._open_fd()) - self.offset)
        return frames

    def _decode(self, data: bytes, position: int) -> Frame | None:
        """As decode_frame, but a search for the next frame costs time in proportion to what is searched."""
        length = int.from_bytes(data[position + 8 : position + 12], "little")
        if self._vain_bytes > SEARCH_BYTES and length > SHORT_PAYLOAD_BYTES:
            raise FrameError("searched enough for a long frame")
        try:
            frame = decode_frame(data, position, self._start_crc, self.offset)
        except FrameError:
            if length <= MAX_PAYLOAD_BYTES:
                self._vain_bytes += length
            raise
        if frame is not None:
            self._vain_bytes = 0
        return frame

    def _is_doubted(self, offset: int) -> bool:
        """True the first time: a writer that cuts back a short write may change what was just read. Read it again."""
        if self._is_final or self._doubted_offset == offset:
            return False
        self._doubted_offset = offset
        return True

    def _take(self, frame: Frame, frames: list[Frame]) -> None:
        if frame.kind == FrameType.SEAL:
            self.sealed = True
        elif is_known(frame.kind) and frame.kind not in _UNTOLD:
            frames.append(frame)

    def _skip_damage(self, data: bytes, position: int) -> int:
        """The next place where a frame may begin; what lies between is damaged."""
        found = data.find(MAGIC, position + 1)
        if found < 0:
            # The magic may be cut by the window's end.
            found = max(position + 1, len(data) - len(MAGIC) + 1)
            if data.count(0) == len(data):
                found = self._disk.next_data(self._open_fd(), self.offset + len(data)) - self.offset
        self.damaged_bytes += found - position
        return found

    def _skip_tail(self, data: bytes) -> int:
        """Nothing more will come: looks for a whole frame inside what seemed to be the beginning of one."""
        position = data.find(MAGIC, 1)
        while position >= 0:
            if self._begins_frame(data, position):
                self.damaged_bytes += position
                return position
            position = data.find(MAGIC, position + 1)
        self.torn_bytes += len(data)
        return len(data)

    def _begins_frame(self, data: bytes, position: int) -> bool:
        try:
            return self._decode(data, position) is not None
        except FrameError:
            return False

    def _has_more(self, window_bytes: int) -> bool:
        return self._disk.size(self._open_fd()) > self.offset + window_bytes

    def _pread(self, size_bytes: int, offset: int) -> bytes:
        return self._disk.read(self._open_fd(), size_bytes, offset)

    def _open_fd(self) -> int:
        if self._fd is None:
            raise JournalError(f"{self.name} is closed")
        return self._fd
