"""What is in quarantine/, looked at and put back into the journal, with or without a recorder beside it.

An exchange's file there is a whole sealed segment. To try it again it gets a segment's name in the journal: one
rename, so it is in one place or the other whatever happens, and the recorder delivers it or sets it aside once more.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from app.clock import wall_ns
from app.errors import JournalError
from app.exchange import CARRY_SLOT, RETRY_BOOT
from app.journal.frame import Frame
from app.journal.reader import QUARANTINE, JournalDirectory, SegmentReader
from app.journal.segment import SegmentName
from app.recorder.assemble import Assembler
from app.recorder.files import FRAMES_SUFFIX
from app.recorder.segment import Segment
from app.recorder.transcript import Transcript


@dataclass(frozen=True, slots=True)
class SetAsideFile:
    """One file in quarantine/."""

    name: str
    size_bytes: int
    modified_ns: int
    exchange_id: uuid.UUID | None
    """None of a segment that could not be read: what is in it nobody can tell."""


class SetAside:
    """The quarantine of one journal."""

    def __init__(self, directory: JournalDirectory) -> None:
        self._directory = directory
        self._disk = directory.disk
        self.path = directory.path / QUARANTINE

    def __repr__(self) -> str:
        return f"<SetAside {self.path}>"

    def files(self) -> list[SetAsideFile]:
        """All files, oldest first; none where there is no quarantine. Raises OSError."""
        try:
            sizes = self._disk.sizes(self.path)
        except FileNotFoundError:
            return []
        found = []
        for name, size in sizes.items():
            try:
                modified = self._disk.modified_ns(self.path / name)
            except FileNotFoundError:
                # Put back or erased in this very moment.
                continue
            found.append(SetAsideFile(name, size, modified, _exchange_id(name)))
        return sorted(found, key=lambda each: (each.modified_ns, each.name))

    def read(self, exchange_id: uuid.UUID) -> tuple[Transcript, int]:
        """An exchange and how many frames it has. Raises OSError, and JournalError where it cannot be read."""
        name = f"{exchange_id}{FRAMES_SUFFIX}"
        reader = SegmentReader(JournalDirectory(self.path, self._disk), name)
        try:
            transcript, frames = transcript_in(name, reader)
        finally:
            reader.close()
        if transcript is None:
            raise JournalError(f"{self.path / name} holds no exchange")
        return transcript, frames

    def retry(self, exchange_id: uuid.UUID) -> bool:
        """Puts an exchange back into the journal, durably; False where it is not here. Raises OSError."""
        name = SegmentName(RETRY_BOOT, CARRY_SLOT, wall_ns())
        try:
            self._disk.rename(self.path / f"{exchange_id}{FRAMES_SUFFIX}", self._directory.path / str(name))
        except FileNotFoundError:
            return False
        self._disk.sync_folder(self._directory.path)
        self._disk.sync_folder(self.path)
        return True


def transcript_in(name: str, reader: SegmentReader) -> tuple[Transcript | None, int]:
    """The exchange in a file of the quarantine (None where there is none), and how many frames it has."""
    header = reader.header
    segment = Segment(name, (header.boot, header.slot), header.counter, reader)
    assembler = Assembler(held_bytes_max=0)
    reader.finish()
    found: Transcript | None = None
    count = 0
    frames: list[Frame]
    while frames := reader.read():
        count += len(frames)
        for frame in frames:
            found = assembler.take(segment, frame) or found
    if found is None:
        found = next(iter(assembler.close({each.chain for each in assembler.open_exchanges()})), None)
    return found, count


def _exchange_id(name: str) -> uuid.UUID | None:
    if not name.endswith(FRAMES_SUFFIX):
        return None
    try:
        return uuid.UUID(name.removesuffix(FRAMES_SUFFIX))
    except ValueError:
        return None
