"""The recorder's loop: read, assemble, deliver, account, unlink, and say how it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from app.clock import monotonic_ns
from app.errors import FrameError
from app.recorder.assemble import Assembler
from app.recorder.batch import BATCH_ROWS, Batch
from app.recorder.carry import Carrier
from app.recorder.delivery import STUCK, Delivery
from app.recorder.files import JournalFiles
from app.recorder.prices import Prices
from app.recorder.record import make_record, without_bodies
from app.recorder.segment import QUARANTINED, RECORDED, Segment
from app.recorder.status import RecorderStatus
from app.recorder.tail import JournalTail
from app.recorder.transcript import Transcript
from app.store.writing.record import Record
from app.telemetry.logs import event_logger
from app.telemetry.tasks import spawn

BUSY_SECONDS = 0.01
IDLE_SECONDS = 0.05
QUIET_SECONDS = 0.1
QUIET_AFTER_NS = 5_000_000_000
ROUNDS = 32
"""Reads between two looks at the clock."""
PREPARED_ROWS = 8
BEAT_NS = 1_000_000_000
BEAT_AWAY_NS = 4_000_000_000
LET_GO_NS = 250_000_000
CLOCK_CHECK_NS = 60_000_000_000
CLOCK_RECHECK_NS = 5_000_000_000
MOST_SKEW_SECONDS = 86_400.0

_events = event_logger("recorder")


class Recorder:
    """Brings one journal into the store; holds no state that a restart would miss."""

    def __init__(
        self,
        files: JournalFiles,
        tail: JournalTail,
        assembler: Assembler,
        delivery: Delivery,
        carrier: Carrier,
        status: RecorderStatus,
        prices: Prices | None = None,
    ) -> None:
        self._prices = prices
        self._files = files
        self._tail = tail
        self._assembler = assembler
        self._delivery = delivery
        self._carrier = carrier
        self._status = status
        self._batch = Batch()
        self._delivered = Batch()
        """What is being delivered right now."""
        self._busy_ns = monotonic_ns()
        self._beat_ns = 0
        self._let_go_ns = 0
        self._clock_due_ns = 0
        self._clock_is_sane = False
        self._is_resumed = False

    def __repr__(self) -> str:
        return f"<Recorder {self._batch!r} {self._tail!r}>"

    @property
    def segments(self) -> Mapping[str, Segment]:
        """By name, all that were seen and not let go."""
        return self._tail.segments

    async def run(self, stop: asyncio.Event) -> None:
        """Records until `stop` is set and all that ended is delivered."""
        while True:
            taken = self._fill()
            now = monotonic_ns()
            has_flushed = self._batch.is_due(now) or (bool(self._batch.items) and stop.is_set())
            if has_flushed:
                await self._flush()
            elif now - self._let_go_ns >= LET_GO_NS:
                await self._let_go_idle()
            if now - self._beat_ns >= BEAT_NS:
                await self._beat()
            if stop.is_set() and not taken and self._is_drained():
                await self._let_go(self._free_segments())
                return
            await self._pause(is_busy=has_flushed or taken > 0)

    def measure(self) -> None:
        """Brings the status up to date; works without the store."""
        status = self._status
        now = monotonic_ns()
        batches = (self._delivered, self._batch)
        status.lag_seconds = max(self._tail.lag_seconds(), *(each.age_seconds(now) for each in batches))
        status.journal_bytes = self._files.bytes_used()
        status.open_exchanges = len(self._assembler)
        status.held_bytes = self._assembler.held_bytes

    def _fill(self) -> int:
        """Reads until the batch is due or nothing is new, for a few rounds; gives the bytes read in the last one."""
        taken = 0
        for _ in range(ROUNDS):
            self._add_ended(BATCH_ROWS)
            if self._batch.is_full or self._batch.is_due(monotonic_ns()):
                return taken
            taken = self._tail.read()
            if not taken and not self._tail.ended:
                return 0
        return taken

    def _add_ended(self, most: int) -> None:
        """Makes records of what ended and adds them to the batch."""
        while most and self._tail.ended and not self._batch.is_full:
            transcript = self._tail.ended.popleft()
            self._batch.add(transcript, _record_of(transcript, self._prices))
            most -= 1

    async def _flush(self) -> None:
        """Delivers the batch with the accounts of the segments that are free by now, and prepares the next one."""
        if not await self._is_clock_sane():
            return
        batch = self._delivered = self._batch
        self._batch = Batch()
        free = self._free_segments()
        work = self._delivery.deliver(batch.items, [each.account() for each in free])
        delivering = spawn(work, name="recorder_delivery")
        try:
            await asyncio.sleep(0)
            while not delivering.done() and self._prepare():
                await asyncio.sleep(0)
            fates = await delivering
        finally:
            delivering.cancel()
        self._delivered = Batch()
        for transcript, fate in fates:
            if fate != STUCK:
                self._assembler.settle(transcript, fate)
        self._unlink(free)

    def _prepare(self) -> bool:
        """A little of the next batch, or of the one after it, while PostgreSQL works; nothing while it is away."""
        if not self._status.is_ready:
            return False
        if self._tail.ended and not self._batch.is_full:
            self._add_ended(PREPARED_ROWS)
            return True
        return len(self._tail.ended) < BATCH_ROWS and self._tail.read() > 0

    async def _let_go_idle(self) -> None:
        self._let_go_ns = monotonic_ns()
        for segment in await self._carrier.carry(self._tail.segments.values(), self._assembler):
            self._tail.adopt(segment)
        await self._let_go(self._free_segments())

    async def _let_go(self, free: list[Segment]) -> None:
        """Writes the accounts of free segments, then unlinks them."""
        if free and await self._is_clock_sane():
            await self._delivery.account([each.account() for each in free])
            self._unlink(free)

    async def _resume(self) -> None:
        """Once: settles what ended before a restart in a segment that is gone, and would look open for ever."""
        if self._is_resumed or self._tail.is_behind:
            return
        self._is_resumed = True
        still_open = {each.id: each for each in self._assembler.open_exchanges()}
        if not still_open:
            return
        for exchange_id in await self._delivery.known(list(still_open)):
            self._assembler.settle(still_open[exchange_id], RECORDED)
        for exchange_id in self._files.quarantined() & still_open.keys():
            self._assembler.settle(still_open[exchange_id], QUARANTINED)

    def _free_segments(self) -> list[Segment]:
        """Originals before what was carried from them: where both are there, the carried frames count."""
        free = [each for each in self._tail.segments.values() if each.is_free]
        return sorted(free, key=lambda each: (each.is_carry, each.chain, each.counter))

    def _unlink(self, segments: list[Segment]) -> None:
        if not segments:
            return
        self._files.unlink([each.name for each in segments])
        for segment in segments:
            self._tail.forget(segment)
        self._status.segments_let_go += len(segments)

    def _is_drained(self) -> bool:
        return not self._batch.items and self._tail.is_empty

    async def _is_clock_sane(self) -> bool:
        """False while our clock and the database's differ by more than a day: ages and partitions would be wrong."""
        now = monotonic_ns()
        if now < self._clock_due_ns:
            return self._clock_is_sane
        skew = await self._delivery.clock_skew_seconds()
        was_sane, self._clock_is_sane = self._clock_is_sane, abs(skew) <= MOST_SKEW_SECONDS
        self._clock_due_ns = monotonic_ns() + (CLOCK_CHECK_NS if self._clock_is_sane else CLOCK_RECHECK_NS)
        if not self._clock_is_sane:
            self._status.is_ready = False
            self._status.last_error = f"the database's clock is {skew:.0f} s ahead of ours; set the clocks"
            _events.error("clocks_differ", skew_seconds=round(skew))
        elif not was_sane:
            _events.info("clocks_agree", skew_seconds=round(skew, 3))
        return self._clock_is_sane

    async def _beat(self) -> None:
        self._beat_ns = monotonic_ns()
        self.measure()
        await self._delivery.heartbeat(self._status.lag_seconds, self._status.journal_bytes)
        if self._status.is_ready:
            await self._resume()
        else:
            self._beat_ns = monotonic_ns() + BEAT_AWAY_NS

    async def _pause(self, *, is_busy: bool) -> None:
        now = monotonic_ns()
        if is_busy:
            self._busy_ns = now
            await asyncio.sleep(0)
        elif self._batch.items:
            await asyncio.sleep(BUSY_SECONDS)
        else:
            await asyncio.sleep(IDLE_SECONDS if now - self._busy_ns < QUIET_AFTER_NS else QUIET_SECONDS)


def _record_of(transcript: Transcript, prices: Prices | None) -> Record:
    try:
        return make_record(transcript, prices)
    except FrameError as error:
        _events.error("bodies_unreadable", exchange=transcript.id.hex(), error=str(error))
        return without_bodies(transcript)
