"""The journal's files as the recorder uses them: found, read, copied, set aside and unlinked."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.clock import new_id, wall_ns
from app.exchange import CARRY_SLOT
from app.journal.frame import Frame
from app.journal.reader import QUARANTINE, JournalDirectory, SegmentReader
from app.journal.segment import NEW_SUFFIX, SegmentFile, SegmentName
from app.recorder.segment import Chain, Segment

ID_FILE = "recorder.id"
FRAMES_SUFFIX = ".frames"


@dataclass(frozen=True, slots=True, order=True)
class FoundSegment:
    """A segment's file: its writer and its place in the writer's order."""

    chain: Chain
    counter: int
    name: str

    @property
    def is_carry(self) -> bool:
        """A recorder wrote it."""
        return self.chain[1] == CARRY_SLOT


def identify_recorder(journal_dir: Path, hostname: str) -> None:
    """Sees to it that the journal has its recorder's id, while its disk has room for one.

    Raises JournalError where the journal cannot be used or another recorder has it.
    """
    directory = JournalDirectory(journal_dir)
    directory.lock_recorder()
    try:
        JournalFiles(directory, hostname).recorder_id()
    finally:
        directory.unlock_recorder()


class JournalFiles:
    """One journal's files, for the recorder that holds its lock."""

    def __init__(self, directory: JournalDirectory, hostname: str) -> None:
        self._directory = directory
        self._disk = directory.disk
        self._hostname = hostname
        self._last_counter = 0
        self._carry_boot = "0" * 8

    def recorder_id(self) -> uuid.UUID:
        """This journal's recorder; made at its first start and kept beside the segments."""
        path = self._directory.path / ID_FILE
        fd = self._disk.open_lock(path)
        try:
            kept = self._disk.read(fd, 64, 0)
        finally:
            self._disk.close(fd)
        try:
            found = uuid.UUID(kept.decode("ascii").strip())
        except ValueError:
            found = uuid.UUID(bytes=new_id(wall_ns()))
            self._keep_id(found)
        self._carry_boot = found.bytes[-4:].hex()
        return found

    def find(self) -> list[FoundSegment]:
        """Every segment by writer, oldest first."""
        names = [(SegmentName.parse(name), name) for name in self._directory.segments()]
        return [
            FoundSegment((each.boot, each.slot), each.counter, name)
            for each, name in names
            if each is not None
        ]

    def open(self, name: str) -> SegmentReader:
        """A reader at the beginning. Raises OSError, and FrameError where it is no readable segment."""
        return SegmentReader(self._directory, name)

    def is_orphan(self, name: str) -> bool:
        """Nobody holds it; a file that is gone is nobody's."""
        try:
            return self._directory.is_orphan(name)
        except FileNotFoundError:
            return True

    def set_aside(self, name: str) -> int:
        """Moves what is no readable segment out of the way, into quarantine/; gives its bytes."""
        size = self._disk.sizes(self._directory.path).get(name, 0)
        self._directory.set_aside(name)
        return size

    def unlink(self, names: list[str]) -> None:
        """Removes segments, in this order; what is gone already is no error."""
        self._directory.unlink(names)

    def bytes_used(self) -> int:
        """What the segments take on the disk."""
        return self._directory.bytes_used()

    def begin(self) -> CarryCopy:
        """A new carry segment. Raises JournalError or OSError."""
        counter = self._next_counter()
        file = SegmentFile(
            self._directory.path, self._carry_boot, CARRY_SLOT, counter, self._hostname, self._disk
        )
        return CarryCopy(
            self, file, Segment(file.name, (self._carry_boot, CARRY_SLOT), counter, None, is_carry=True)
        )

    def quarantine(self, exchange_id: bytes, frames: Iterable[Frame]) -> None:
        """Writes frames to quarantine/<id>.frames, durably; a file that is there is replaced."""
        folder = self._directory.path / QUARANTINE
        self._disk.make_folder(folder)
        file = SegmentFile(
            folder, self._carry_boot, CARRY_SLOT, self._next_counter(), self._hostname, self._disk
        )
        try:
            for frame in frames:
                _append(file, frame)
            file.seal()
            file.publish()
        finally:
            file.close()
        self._disk.rename(folder / file.name, folder / f"{uuid.UUID(bytes=exchange_id)}{FRAMES_SUFFIX}")
        self._disk.sync_folder(folder)

    def quarantined_bytes(self) -> int:
        """What quarantine/ takes on the disk."""
        return sum(self._quarantine_sizes().values())

    def quarantined(self) -> frozenset[bytes]:
        """Ids of the exchanges in quarantine/."""
        found = set()
        for name in self._quarantine_sizes():
            try:
                found.add(uuid.UUID(name.removesuffix(FRAMES_SUFFIX)).bytes)
            except ValueError:
                continue  # a segment that was set aside
        return frozenset(found)

    def written(self) -> list[str]:
        """Names of the segments that hold more than a header."""
        return self._directory.written()

    def quarantined_files(self) -> list[str]:
        """Names of the files in quarantine/: exchanges (`.frames`), and segments that were set aside."""
        return sorted(self._quarantine_sizes())

    def open_quarantined(self, name: str) -> SegmentReader:
        """A reader of a file in quarantine/. Raises OSError, and FrameError where it cannot be read."""
        folder = JournalDirectory(self._directory.path / QUARANTINE, self._disk)
        return SegmentReader(folder, name)

    def remove_quarantined(self, names: Iterable[str]) -> None:
        """Removes files from quarantine/, durably."""
        folder = self._directory.path / QUARANTINE
        for name in names:
            self._disk.unlink(folder / name)
        self._disk.sync_folder(folder)

    def _quarantine_sizes(self) -> dict[str, int]:
        try:
            return self._disk.sizes(self._directory.path / QUARANTINE)
        except FileNotFoundError:
            return {}

    def remove_unfinished(self) -> None:
        """Removes what an earlier life of this recorder was writing when it was killed."""
        for folder in (self._directory.path, self._directory.path / QUARANTINE):
            try:
                names = self._disk.sizes(folder)
            except FileNotFoundError:
                continue
            for name in names:
                parsed = SegmentName.parse(name.removesuffix(NEW_SUFFIX))
                if name.endswith(NEW_SUFFIX) and parsed is not None and parsed.slot == CARRY_SLOT:
                    self._disk.unlink(folder / name)

    def _next_counter(self) -> int:
        """Never used twice, not even by another life of this recorder: accounts are kept by it."""
        self._last_counter = max(self._last_counter + 1, wall_ns() // 1_000_000)
        return self._last_counter

    def _keep_id(self, recorder_id: uuid.UUID) -> None:
        path = self._directory.path / ID_FILE
        new = path.with_name(ID_FILE + NEW_SUFFIX)
        self._disk.unlink(new)
        fd = self._disk.create(new)
        try:
            self._disk.append(fd, [f"{recorder_id}\n".encode()])
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)
        self._disk.rename(new, path)
        self._disk.sync_folder(self._directory.path)


class CarryCopy:
    """A carry segment that is being written; it is part of the journal once it is sealed."""

    def __init__(self, files: JournalFiles, file: SegmentFile, segment: Segment) -> None:
        self._files = files
        self._file = file
        self.segment = segment

    def __repr__(self) -> str:
        return f"<CarryCopy {self._file!r}>"

    def append(self, frame: Frame) -> int:
        """Adds a frame; gives its offset."""
        return _append(self._file, frame)

    def seal(self) -> None:
        """Makes it durable, gives it its name, and opens it for reading."""
        self._file.seal()
        self._file.publish()
        self._file.close()
        self.segment.source = self._files.open(self._file.name)
        self.segment.is_finished = True
        self.segment.wall_ns = wall_ns()

    def abandon(self) -> None:
        """Removes what was written of it, unless it has its name: then it holds frames twice, which does no harm."""
        self._file.close()


def _append(file: SegmentFile, frame: Frame) -> int:
    return file.append(
        frame.kind, frame.exchange_id, frame.monotonic_ns, frame.sequence, frame.payload, frame.flags
    )
