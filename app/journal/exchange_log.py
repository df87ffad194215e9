"""The journal's side of one exchange: its frames in order, numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import monotonic_ns
from app.exchange import FrameType
from app.journal.frame import FLAG_MORE, MAX_PAYLOAD_BYTES

if TYPE_CHECKING:
    from app.journal.writer import JournalWriter

StagedFrame = tuple[int, int, int, int, bytes]
"""Kind, monotonic nanoseconds, sequence, flags, payload."""

_CHUNKS = (FrameType.REQUEST_CHUNK, FrameType.RESPONSE_CHUNK)


class ExchangeLog:
    """Stages frames and writes those that are ready together in one call."""

    __slots__ = ("_id", "_is_owing", "_sequence", "_staged", "_writer", "gap")

    def __init__(self, writer: JournalWriter, exchange_id: bytes) -> None:
        self._writer = writer
        self._id = exchange_id
        self._sequence = 0
        self._staged: list[StagedFrame] = []
        self._is_owing = False
        self.gap = False
        """Frames could not be written; chunks are not tried any more, the end is."""

    def stage(self, kind: int, payload: bytes) -> None:
        """Puts a frame behind those that the next flush writes; a long payload becomes several."""
        now_ns = monotonic_ns()
        if len(payload) > MAX_PAYLOAD_BYTES:
            payload = self._stage_parts(kind, now_ns, payload)
        self._staged.append((kind, now_ns, self._sequence, 0, payload))
        self._sequence += 1

    def _stage_parts(self, kind: int, now_ns: int, payload: bytes) -> bytes:
        """Stages all but the last part, which it gives."""
        start = 0
        while len(payload) - start > MAX_PAYLOAD_BYTES:
            part = payload[start : start + MAX_PAYLOAD_BYTES]
            self._staged.append((kind, now_ns, self._sequence, FLAG_MORE, part))
            self._sequence += 1
            start += MAX_PAYLOAD_BYTES
        return payload[start:]

    def flush(self) -> bool:
        """Writes what is staged; False where the disk refused, which `gap` remembers."""
        staged = self._staged
        if not staged:
            return not self.gap
        self._staged = []
        writer = self._writer
        if self.gap or not writer.admits():
            staged = self._without_chunks(staged)
        if self._is_owing:
            self._owe(staged)
        elif staged and (written := writer.write(self._id, staged)) < len(staged):
            self.gap = True
            self._retry_small(staged[written:])
        return not self.gap

    def _without_chunks(self, staged: list[StagedFrame]) -> list[StagedFrame]:
        """While the disk is full, what is small is still tried: the ballast makes room for it."""
        kept = [frame for frame in staged if frame[0] not in _CHUNKS]
        if len(kept) < len(staged):
            self.gap = True
            self._writer.dropped_bytes += sum(len(frame[4]) for frame in staged if frame[0] in _CHUNKS)
        return kept

    def _retry_small(self, staged: list[StagedFrame]) -> None:
        staged = self._without_chunks(staged)
        written = self._writer.write(self._id, staged) if staged else 0
        self._owe(staged[written:])

    def _owe(self, staged: list[StagedFrame]) -> None:
        """From now on the writer's thread writes them, so that an end never stands before its beginning."""
        for frame in staged:
            self._is_owing = True
            self._writer.owe(self._id, frame)
