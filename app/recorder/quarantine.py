"""Exchanges that PostgreSQL will not take: their frames in quarantine/, one file each, in the journal's own format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from app.errors import JournalError
from app.exchange import FrameType, LogMode
from app.journal.frame import Frame
from app.recorder.segment import read_extents
from app.recorder.transcript import Transcript
from app.telemetry.logs import event_logger

MAX_BYTES = 1 << 30

_events = event_logger("recorder")


class QuarantineFiles(Protocol):
    """The folder of quarantined exchanges."""

    def quarantine(self, exchange_id: bytes, frames: Iterable[Frame]) -> None:
        """Writes a file of frames and makes it durable; one that is there is replaced. Raises OSError, JournalError."""

    def quarantined_bytes(self) -> int:
        """What the folder takes on its disk."""


class QuarantineFolder:
    """Keeps exchanges until somebody looks at them, up to MAX_BYTES in all."""

    def __init__(self, files: QuarantineFiles, max_bytes: int = MAX_BYTES) -> None:
        self._files = files
        self._max_bytes = max_bytes

    def put(self, transcript: Transcript) -> bool:
        """Keeps an exchange's frames, without its bodies where only metadata may be kept.

        False where there is no room; then nothing of it may be unlinked.
        """
        try:
            if self._files.quarantined_bytes() + transcript.extents.size_bytes > self._max_bytes:
                return False
            frames = read_extents(list(transcript.extents.runs()))
            if transcript.begin is None or transcript.begin.mode != LogMode.FULL.value:
                frames = (each for each in frames if not _is_body(each))
            self._files.quarantine(transcript.id, frames)
        except (OSError, JournalError) as error:
            _events.error("quarantine_failed", exchange=transcript.id.hex(), error=str(error))
            return False
        return True


def _is_body(frame: Frame) -> bool:
    return frame.kind in (FrameType.REQUEST_CHUNK, FrameType.RESPONSE_CHUNK)
