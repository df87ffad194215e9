"""Frames to transcripts, in bounded memory.

An exchange's frames come in the order of their sequence, from one segment or several of the same writer, and with
those of other exchanges between them. After a crash while frames were carried they come twice: (exchange, sequence)
tells them apart. Small bodies stay in memory until they are delivered, up to a budget; of larger ones only the places
of their frames do.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from app.clock import monotonic_ns
from app.exchange import FrameType, Note, Outcome
from app.journal.frame import NO_EXCHANGE, Frame
from app.recorder.segment import CARRIED, ERASED, Chain, Segment, begins_last
from app.recorder.transcript import Transcript

HELD_BYTES_MAX = 64 << 20
HELD_BYTES_PER_EXCHANGE = 1 << 20

_notes = msgspec.msgpack.Decoder(Note)


class Assembler:
    """Takes frames, gives transcripts when they end, and forgets them when they are settled."""

    def __init__(self, held_bytes_max: int = HELD_BYTES_MAX) -> None:
        self._held_bytes_max = held_bytes_max
        self._held_bytes = 0
        self._transcripts: dict[bytes, Transcript] = {}
        self._damaged_chains: set[Chain] = set()

    def __repr__(self) -> str:
        return f"<Assembler exchanges={len(self._transcripts)} held_bytes={self._held_bytes}>"

    def __len__(self) -> int:
        """Exchanges that are not settled."""
        return len(self._transcripts)

    @property
    def held_bytes(self) -> int:
        """Bytes of bodies in memory."""
        return self._held_bytes

    def open_exchanges(self) -> Iterator[Transcript]:
        """Exchanges that have not ended."""
        return (each for each in self._transcripts.values() if each.end is None)

    def exchange(self, exchange_id: bytes) -> Transcript | None:
        """An exchange that is not settled."""
        return self._transcripts.get(exchange_id)

    def saw_damage(self, chain: Chain) -> None:
        """From now on a missing BEGIN of this writer's is taken for damaged, not for delivered before."""
        self._damaged_chains.add(chain)

    def take(self, segment: Segment, frame: Frame) -> Transcript | None:
        """Takes a frame; gives the transcript that ends with it."""
        exchange_id = frame.exchange_id
        if exchange_id == NO_EXCHANGE:
            _take_note(segment, frame)
            return None
        transcript = self._transcripts.get(exchange_id)
        if transcript is None:
            if not self._is_wanted(segment, frame):
                return None
            transcript = self._transcripts[exchange_id] = Transcript(exchange_id, segment.chain)
        if exchange_id not in segment.open:
            segment.open.add(exchange_id)
            transcript.segments.append(segment)
        if transcript.end is not None:
            if frame.kind == FrameType.BEGIN:
                _count_begin(transcript, segment)
            return None
        held_before = transcript.held_bytes
        is_new = transcript.take(segment, frame)
        if frame.kind == FrameType.BEGIN:
            _count_begin(transcript, segment)
        if not is_new:
            return None
        self._bound(transcript, held_before)
        if transcript.end is None:
            return None
        transcript.ended_ns = monotonic_ns()
        return transcript

    def close(self, chains: set[Chain]) -> list[Transcript]:
        """Ends what these writers left open; they are dead, and all that they wrote was taken."""
        left = [each for each in self.open_exchanges() if each.chain in chains]
        for transcript in left:
            transcript.close(Outcome.PROXY_CRASHED, "no_end", monotonic_ns())
        return left

    def settle(self, transcript: Transcript, fate: str) -> None:
        """Forgets an exchange of which `fate` (recorded, erased, …) is committed, and counts it where it began."""
        if self._transcripts.pop(transcript.id, None) is None:
            return
        self._held_bytes -= transcript.held_bytes
        for segment in transcript.segments:
            segment.open.discard(transcript.id)
            segment.holds_erased |= fate == ERASED
        if not transcript.begin_segments:
            return
        counted = begins_last(transcript.begin_segments)
        counted.count(fate)
        for segment in transcript.begin_segments:
            if segment is not counted:
                segment.count(CARRIED)
                counted.counts_for(segment)

    def _is_wanted(self, segment: Segment, frame: Frame) -> bool:
        """False for the rest of an exchange whose beginning was delivered and unlinked before a restart."""
        return frame.sequence == 0 or segment.chain in self._damaged_chains

    def _bound(self, transcript: Transcript, held_before: int) -> None:
        held = transcript.held_bytes
        over = self._held_bytes + held - held_before > self._held_bytes_max
        if held and (over or held > HELD_BYTES_PER_EXCHANGE):
            transcript.spill()
            held = 0
        self._held_bytes += held - held_before


def _count_begin(transcript: Transcript, segment: Segment) -> None:
    if transcript.begin is not None and segment not in transcript.begin_segments:
        transcript.begin_segments.append(segment)
        number = transcript.begin.accept_number
        segment.saw_accept_numbers(number, number)


def _take_note(segment: Segment, frame: Frame) -> None:
    if frame.kind != FrameType.NOTE:
        return
    try:
        note = _notes.decode(frame.payload)
    except msgspec.MsgspecError:
        return
    segment.saw_note(note)
