"""All frames of one exchange: what was said in its heads, where its bytes are, and when they came."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import msgspec

from app.exchange import AnswerHead, Begin, End, FrameType, Outcome
from app.journal.frame import FLAG_MORE, Frame
from app.recorder.bodies import BodyParts
from app.recorder.segment import Chain, Segment
from app.store.writing.record import BodySource, ChunkTime

MAX_CHUNK_TIMES = 65_536
MAX_MESSAGE_BYTES = 4 << 20
_SIZE_BITS = 24
_MAX_SIZE = (1 << _SIZE_BITS) - 1
_MAX_OFFSET_US = (1 << 64 - _SIZE_BITS) - 1

_begins = msgspec.msgpack.Decoder(Begin)
_heads = msgspec.msgpack.Decoder(AnswerHead)
_ends = msgspec.msgpack.Decoder(End)


class Extents:
    """Where an exchange's frames are: runs of neighbouring frames, 16 bytes a run."""

    __slots__ = ("_owners", "_runs")

    def __init__(self) -> None:
        self._owners: list[tuple[int, Segment]] = []
        """From which run on which segment."""
        self._runs = array("Q")

    def add(self, segment: Segment, offset: int, length: int) -> None:
        """Adds a frame behind the last one."""
        runs = self._runs
        if self._owners and self._owners[-1][1] is segment:
            if runs[-2] + runs[-1] == offset:
                runs[-1] += length
                return
        else:
            self._owners.append((len(runs), segment))
        runs.append(offset)
        runs.append(length)

    def runs(self) -> Iterator[tuple[Segment, int, int]]:
        """(segment, offset, length in bytes) in the frames' order."""
        ends = [start for start, _ in self._owners[1:]] + [len(self._runs)]
        for (start, segment), end in zip(self._owners, ends, strict=True):
            for position in range(start, end, 2):
                yield segment, self._runs[position], self._runs[position + 1]

    @property
    def size_bytes(self) -> int:
        """Bytes that the frames take in the journal."""
        return sum(self._runs[1::2])


class Transcript:
    """One exchange as far as it was read; `segments` are held until it is settled."""

    __slots__ = (
        "_chunk_times",
        "_is_continued",
        "_message",
        "begin",
        "begin_monotonic_ns",
        "begin_segments",
        "chain",
        "end",
        "ended_ns",
        "extents",
        "first_body_ns",
        "has_gap",
        "head",
        "id",
        "last_monotonic_ns",
        "next_sequence",
        "request",
        "response",
        "segments",
    )

    def __init__(self, exchange_id: bytes, chain: Chain) -> None:
        self.id = exchange_id
        self.chain = chain
        self.begin: Begin | None = None
        self.begin_monotonic_ns = 0
        self.begin_segments: list[Segment] = []
        self.head: AnswerHead | None = None
        self.end: End | None = None
        self.ended_ns = 0
        """Monotonic time at which the recorder saw the end."""
        self.segments: list[Segment] = []
        self.extents = Extents()
        self.request = BodyParts()
        self.response = BodyParts()
        self.first_body_ns: int | None = None
        self.has_gap = False
        self.next_sequence = 0
        self.last_monotonic_ns = 0
        self._chunk_times = array("Q")
        self._is_continued = False
        """The last piece of the answer goes on in the next frame."""
        self._message = b""
        """What was read of a head that goes on in the next frame."""

    def __repr__(self) -> str:
        state = self.end.outcome if self.end is not None else "open"
        return f"<Transcript {self.id.hex()} {state} frames={self.next_sequence}>"

    @property
    def held_bytes(self) -> int:
        """Bytes of its bodies in memory."""
        held = self.request.length_bytes if self.request.pieces is not None else 0
        return held + self.response.length_bytes if self.response.pieces is not None else held

    def take(self, segment: Segment, frame: Frame) -> bool:
        """Takes the next frame; False where it was here before. An unreadable head counts as a gap."""
        if frame.sequence < self.next_sequence:
            return False
        if frame.sequence > self.next_sequence:
            self.has_gap = True
        self.next_sequence = frame.sequence + 1
        self.extents.add(segment, frame.offset, frame.size_bytes)
        self.last_monotonic_ns = frame.monotonic_ns
        kind = frame.kind
        if kind == FrameType.RESPONSE_CHUNK:
            self._take_answer(frame)
        elif kind == FrameType.REQUEST_CHUNK:
            self.request.add(frame.payload)
        else:
            self._take_message(segment, frame)
        return True

    def close(self, outcome: Outcome, reason: str, now_ns: int) -> None:
        """Ends an exchange whose END will never come; what was received stands."""
        self.end = End(
            outcome=outcome.value,
            reason=reason,
            detail=None,
            request_bytes=self.request.length_bytes,
            response_bytes=self.response.length_bytes,
            request_complete=False,
        )
        self.ended_ns = now_ns

    def spill(self) -> None:
        """Lets go of the bodies' bytes; they are read again when they are wanted."""
        self.request.spill()
        self.response.spill()

    def request_body(self) -> BodySource:
        """The exact bytes of the request's body."""
        return self.request.source(self._runs(self.request), FrameType.REQUEST_CHUNK)

    def response_body(self) -> BodySource:
        """The exact bytes of the answer's body."""
        return self.response.source(self._runs(self.response), FrameType.RESPONSE_CHUNK)

    def chunk_times(self) -> list[ChunkTime]:
        """When each piece of the answer came; from the 65,536th on, all the rest is one piece."""
        return [ChunkTime(each >> _SIZE_BITS, each & _MAX_SIZE) for each in self._chunk_times]

    def microseconds_at(self, monotonic_ns: int) -> int:
        """Microseconds from the beginning to a frame's time."""
        return max(0, monotonic_ns - self.begin_monotonic_ns) // 1_000

    def _runs(self, body: BodyParts) -> list[tuple[Segment, int, int]]:
        return list(self.extents.runs()) if body.pieces is None else []

    def _take_answer(self, frame: Frame) -> None:
        size = len(frame.payload)
        self.response.add(frame.payload)
        if not size:
            return
        if self.first_body_ns is None:
            self.first_body_ns = frame.monotonic_ns
        times = self._chunk_times
        continues, self._is_continued = self._is_continued, bool(frame.flags & FLAG_MORE)
        if times and (continues or len(times) >= MAX_CHUNK_TIMES):
            last = times[-1]
            times[-1] = last & ~_MAX_SIZE | min(_MAX_SIZE, (last & _MAX_SIZE) + size)
            return
        times.append(
            min(_MAX_OFFSET_US, self.microseconds_at(frame.monotonic_ns)) << _SIZE_BITS | min(size, _MAX_SIZE)
        )

    def _take_message(self, segment: Segment, frame: Frame) -> None:
        payload = self._message + frame.payload
        if frame.flags & FLAG_MORE and len(payload) < MAX_MESSAGE_BYTES:
            self._message = payload
            return
        self._message = b""
        try:
            if frame.kind == FrameType.BEGIN:
                self.begin = _begins.decode(payload)
                self.begin_monotonic_ns = frame.monotonic_ns
                if segment.is_carry:
                    self.chain = (self.begin.boot, self.begin.slot)
            elif frame.kind == FrameType.RESPONSE_HEAD:
                self.head = _heads.decode(payload)
            elif frame.kind == FrameType.END:
                self.end = _ends.decode(payload)
        except msgspec.MsgspecError:
            # Its CRC held, so another version wrote it; what can be told is told.
            self.has_gap = True
            if frame.kind == FrameType.END:
                self.close(Outcome.PROXY_FAILED, "end_unreadable", self.ended_ns)
