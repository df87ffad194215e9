"""Carrying: what long streams hold is copied into segments of the recorder's own, so that they do not pin the journal.

A sealed segment in which everything but open exchanges is settled would stay for as long as one of them lasts. When
such segments pass a quarter of the journal's budget or five minutes of age, the frames of their open exchanges are
copied, grouped by exchange, and the originals are let go: first the copy is durable, then the accounts are committed,
then the files are unlinked. A crash in between leaves frames twice, which (exchange, sequence) tells apart.

At a restart carried segments are read first, so only the beginning of an exchange may be carried: never frames behind
one that stays where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from app.clock import monotonic_ns, wall_ns
from app.errors import JournalError
from app.journal.frame import Frame
from app.recorder.assemble import Assembler
from app.recorder.segment import CARRIED, Segment, begins_last, read_extents
from app.recorder.status import RecorderStatus
from app.recorder.transcript import Extents, Transcript
from app.telemetry.logs import event_logger

LOOK_NS = 5_000_000_000
OLD_NS = 300_000_000_000
YOUNG_NS = 30_000_000_000
"""Too young to be carried along with an old one."""
BUDGET_PART = 4
SEGMENT_BYTES = 64 << 20
LIVE_PART = 2
"""A carried segment of which less than half is still wanted is carried again."""
SMALL_BYTES = 16 << 20
MOST_SMALL = 16
"""So many small carried segments are carried into one: a stream of a day would leave hundreds of them."""

Run = tuple[Segment, int, int]

_events = event_logger("recorder")


class Copy(Protocol):
    """A carry segment that is being written."""

    @property
    def segment(self) -> Segment:
        """The segment that it becomes."""

    def append(self, frame: Frame) -> int:
        """Adds a frame under this segment's salt; gives its offset."""

    def seal(self) -> None:
        """Makes it durable and part of the journal; the segment can be read from then on."""

    def abandon(self) -> None:
        """Removes it."""


class Copies(Protocol):
    """Makes carry segments."""

    def begin(self) -> Copy:
        """A new one. Raises JournalError or OSError."""


class Carrier:
    """Looks now and then whether something has to be carried, and carries it."""

    def __init__(self, copies: Copies, journal_max_bytes: int, status: RecorderStatus) -> None:
        self._copies = copies
        self._pinned_max_bytes = journal_max_bytes // BUDGET_PART
        self._status = status
        self._looked_ns = 0

    async def carry(self, segments: Iterable[Segment], assembler: Assembler) -> list[Segment]:
        """Carries what is due; gives the new segments. The originals are free afterwards."""
        now = monotonic_ns()
        if now - self._looked_ns < LOOK_NS:
            return []
        self._looked_ns = now
        due = self._due(list(segments), assembler)
        return await self.carry_from(due, assembler) if due else []

    async def carry_from(self, originals: set[Segment], assembler: Assembler) -> list[Segment]:
        """Carries the open exchanges of these segments, and releases them. An error leaves them as they were."""
        wanted = {each: None for segment in originals for each in sorted(segment.open)}
        transcripts = [each for id_ in wanted if (each := assembler.exchange(id_)) is not None]
        made: list[Segment] = []
        work = [(each, runs) for each in transcripts if (runs := runs_to_carry(each, originals))]
        try:
            while work:
                # In a thread: the exchanges are open, and nothing is read meanwhile.
                copied, new_runs = await asyncio.to_thread(self._copy, work)
                for (transcript, runs), run in zip(work[: len(new_runs)], new_runs, strict=True):
                    relocate(transcript, runs, run)
                made.append(copied)
                self._status.carried += len(new_runs)
                work = work[len(new_runs) :]
        except (OSError, JournalError) as error:
            _events.error("carry_failed", error=str(error))
        for transcript in transcripts:
            release(transcript, originals)
        if made:
            _events.info("exchanges_carried", exchanges=len(transcripts), segments=len(made))
        return made

    def _due(self, segments: list[Segment], assembler: Assembler) -> set[Segment]:
        pinned = [each for each in segments if is_pinned(each, assembler)]
        originals = [each for each in pinned if not each.is_carry]
        now = wall_ns()
        due: set[Segment] = set()
        if sum(each.read_bytes for each in originals) >= self._pinned_max_bytes:
            due.update(originals)
        elif any(now - each.wall_ns >= OLD_NS for each in originals):
            due.update(each for each in originals if now - each.wall_ns >= YOUNG_NS)
        carried = [each for each in pinned if each.is_carry]
        due.update(each for each in carried if is_mostly_dead(each, assembler))
        small = [each for each in carried if each.read_bytes < SMALL_BYTES]
        if due and len(small) >= MOST_SMALL:
            due.update(small)
        return due

    def _copy(self, work: list[tuple[Transcript, list[Run]]]) -> tuple[Segment, list[Run]]:
        """Fills one carry segment; gives where each exchange's frames are in it, as far as it got."""
        copy = self._copies.begin()
        new_runs: list[Run] = []
        size = 0
        try:
            for _, runs in work:
                if size >= SEGMENT_BYTES:
                    break
                first, length = -1, 0
                for frame in read_extents(runs):
                    offset = copy.append(frame)
                    first = offset if first < 0 else first
                    length += frame.size_bytes
                new_runs.append((copy.segment, first, length))
                size += length
            copy.seal()
        except (OSError, JournalError):
            copy.abandon()
            raise
        copy.segment.read_bytes = size
        return copy.segment, new_runs


def is_pinned(segment: Segment, assembler: Assembler) -> bool:
    """All of it was read, and only exchanges that have not ended hold it."""
    if not segment.is_finished or not segment.open:
        return False
    transcripts = (assembler.exchange(each) for each in segment.open)
    return all(each is not None and each.end is None for each in transcripts)


def is_mostly_dead(segment: Segment, assembler: Assembler) -> bool:
    """Less than half of a segment's bytes are still wanted."""
    live = 0
    for exchange_id in segment.open:
        transcript = assembler.exchange(exchange_id)
        if transcript is not None:
            live += sum(length for each, _, length in transcript.extents.runs() if each is segment)
    return live * LIVE_PART < segment.read_bytes


def runs_to_carry(transcript: Transcript, originals: set[Segment]) -> list[Run]:
    """The beginning of an exchange as far as it may be carried.

    Runs that were carried before stay, unless one of them is to move: then all of them do, to stay in order.
    """
    leading: list[Run] = []
    for run in transcript.extents.runs():
        if run[0] not in originals and not run[0].is_carry:
            break
        leading.append(run)
    if any(run[0].is_carry and run[0] in originals for run in leading):
        return leading
    return [run for run in leading if not run[0].is_carry]


def relocate(transcript: Transcript, old_runs: list[Run], new_run: Run) -> None:
    """Points an exchange at the copy of these runs."""
    gone = {(segment, offset) for segment, offset, _ in old_runs}
    runs = list(transcript.extents.runs())
    kept = [run for run in runs if (run[0], run[1]) not in gone]
    before = [run for run in kept if run[0].is_carry]
    extents = Extents()
    for segment, offset, length in [*before, new_run, *(run for run in kept if not run[0].is_carry)]:
        extents.add(segment, offset, length)
    had_begin = bool(runs) and (runs[0][0], runs[0][1]) in gone and transcript.begin is not None
    transcript.extents = extents
    transcript.segments.append(new_run[0])
    new_run[0].open.add(transcript.id)
    if had_begin:
        transcript.begin_segments.append(new_run[0])


def release(transcript: Transcript, originals: set[Segment]) -> None:
    """Lets go of each segment among these that holds no frame of the exchange that is not elsewhere as well."""
    needed = {segment for segment, _, _ in transcript.extents.runs()}
    for segment in [each for each in transcript.segments if each in originals and each not in needed]:
        if segment in transcript.begin_segments:
            counted = begins_last(transcript.begin_segments)
            if counted is segment:
                continue
            transcript.begin_segments.remove(segment)
            segment.count(CARRIED)
            counted.counts_for(segment)
        segment.open.discard(transcript.id)
        transcript.segments.remove(segment)
