"""The journal's side of one exchange: its frames in order, numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.clock import monotonic_ns
from app.exchange import End, FrameType
from app.journal.frame import FLAG_MORE, MAX_PAYLOAD_BYTES

if TYPE_CHECKING:
    from app.journal.writer import JournalWriter

_CHUNKS = (FrameType.REQUEST_CHUNK, FrameType.RESPONSE_CHUNK)


class ExchangeLog:
    """Stages frames; the writer's next commit writes them, with those of other exchanges, in one call."""

    __slots__ = ("_sequence", "_writer", "gap", "id", "is_owing")

    def __init__(self, writer: JournalWriter, exchange_id: bytes) -> None:
        self._writer = writer
        self.id = exchange_id
        self._sequence = 0
        self.is_owing = False
        """An end must not stand before its beginning: from now on the writer's thread writes the frames."""
        self.gap = False
        """Frames could not be written; chunks are not tried any more, the end is."""

    def stage(self, kind: int, payload: bytes) -> None:
        """Puts a frame behind those that the next commit writes; a long payload becomes several."""
        now_ns = monotonic_ns()
        if len(payload) > MAX_PAYLOAD_BYTES:
            payload = self._stage_parts(kind, now_ns, payload)
        frame = (self.id, kind, now_ns, self._sequence, 0, payload, self)
        self._sequence += 1
        if self.gap:
            self._stage_in_need(frame)
        else:
            self._writer.staged.append(frame)

    def _stage_parts(self, kind: int, now_ns: int, payload: bytes) -> bytes:
        """Stages all but the last part, which it gives."""
        start = 0
        while len(payload) - start > MAX_PAYLOAD_BYTES:
            part = payload[start : start + MAX_PAYLOAD_BYTES]
            frame = (self.id, kind, now_ns, self._sequence, FLAG_MORE, part, self)
            self._sequence += 1
            if self.gap:
                self._stage_in_need(frame)
            else:
                self._writer.staged.append(frame)
            start += MAX_PAYLOAD_BYTES
        return payload[start:]

    def _stage_in_need(self, frame: StagedFrame) -> None:
        if frame[1] in _CHUNKS:
            self.dropped(frame)
        elif self.is_owing:
            self._writer.owe(frame)
        else:
            self._writer.staged.append(frame)

    def dropped(self, frame: StagedFrame) -> None:
        """A chunk is not written: the disk has no room."""
        self.gap = True
        self._writer.dropped_bytes += len(frame[5])

    def flush(self) -> bool:
        """Commits what this and other exchanges staged; False where frames of this one are missing."""
        self._writer.commit()
        return not self.gap


StagedFrame = tuple[bytes, int, int, int, int, bytes, ExchangeLog | None]
"""Exchange id, kind, monotonic nanoseconds, sequence, flags, payload, and whose it is."""


def without_chunks(staged: list[StagedFrame]) -> list[StagedFrame]:
    """What is tried though the disk is full: all that is small. The chunks are dropped."""
    small = []
    for frame in staged:
        log = frame[6]
        if frame[1] not in _CHUNKS:
            small.append(_with_gap(frame) if log is not None and log.gap else frame)
        elif log is not None:
            log.dropped(frame)
    return small


def _with_gap(frame: StagedFrame) -> StagedFrame:
    """An END that was staged in the same turn as the chunks before it says now that they are missing."""
    exchange_id, kind, at_ns, sequence, flags, payload, log = frame
    if kind != FrameType.END:
        return frame
    try:
        end = msgspec.msgpack.decode(payload, type=End)
    except msgspec.DecodeError:
        return frame  # none of ours; the missing sequence numbers tell of the gap, too
    payload = msgspec.msgpack.encode(msgspec.structs.replace(end, gap=True))
    return (exchange_id, kind, at_ns, sequence, flags, payload, log)
