"""Brings a batch into the store, whatever it takes: waits out an absent one, and isolates what it will not take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from app import __version__
from app.clock import id_milliseconds, utc_now
from app.errors import FrameError, PoisonError, StoreError, StoreMisconfiguredError
from app.recorder.backoff import Backoff
from app.recorder.record import raw_only, without_bodies
from app.recorder.segment import ERASED, EXPIRED, QUARANTINED, RECORDED
from app.recorder.status import RecorderStatus
from app.recorder.transcript import Transcript
from app.store.writing.ingest import Heartbeat
from app.store.writing.record import Delivered, Record, SegmentAccount
from app.telemetry.logs import event_logger

T = TypeVar("T")
Item = tuple[Transcript, Record]
Fates = list[tuple[Transcript, str]]

STUCK = "stuck"
"""Neither the store nor the quarantine takes it: it keeps its segments."""
LAST_MILLISECONDS = 253_402_300_799_000
"""The end of the year 9999, beyond which an id has no partition."""

_events = event_logger("recorder")


class Store(Protocol):
    """What delivery wants of app.store.writing.ingest.Ingest."""

    async def deliver(self, records: Sequence[Record], accounts: Sequence[SegmentAccount] = ()) -> Delivered:
        """Writes records and accounts in one transaction."""

    async def account(self, accounts: Sequence[SegmentAccount]) -> None:
        """Writes accounts alone."""

    async def known(self, exchange_ids: Iterable[bytes]) -> frozenset[bytes]:
        """Which of these exchanges are recorded."""

    async def erased(self, records: Sequence[Record]) -> frozenset[bytes]:
        """Which of these exchanges an erasure stops."""

    async def heartbeat(self, beat: Heartbeat) -> None:
        """Says that this recorder lives."""

    async def clock_skew_seconds(self) -> float:
        """How far the database's clock is ahead."""


class Quarantine(Protocol):
    """Where exchanges go that the store will not take."""

    def put(self, transcript: Transcript) -> bool:
        """Keeps its frames, durably; False where the quarantine is full."""


class Delivery:
    """Delivers for one recorder; `between_tries` runs while the store is away."""

    def __init__(
        self,
        store: Store,
        quarantine: Quarantine,
        status: RecorderStatus,
        host: str,
        between_tries: Callable[[], None],
    ) -> None:
        self._store = store
        self._quarantine = quarantine
        self._status = status
        self._between_tries = between_tries
        self._host = host
        self._started_at = utc_now()
        self._backoff = Backoff()
        self._complaint: str | None = None

    async def deliver(self, items: Sequence[Item], accounts: Sequence[SegmentAccount]) -> Fates:
        """Delivers all, tells what became of each; returns when it is committed, however long that takes.

        The accounts are in the first transaction; where that is poisoned, in one of their own at the end.
        """
        fates: Fates = []
        poisoned = await self._try_batch(items, accounts, fates)
        if poisoned:
            await self._bisect(items, fates)
            if accounts:
                await self.account(accounts)
        return fates

    async def account(self, accounts: Sequence[SegmentAccount]) -> None:
        """Writes accounts of segments that are let go while there is nothing to deliver."""
        await self._until_done(lambda: self._store.account(accounts))

    async def known(self, exchange_ids: list[bytes]) -> frozenset[bytes]:
        """Which of these exchanges are recorded."""
        return await self._until_done(lambda: self._store.known(exchange_ids))

    async def clock_skew_seconds(self) -> float:
        """How far the database's clock is ahead of ours."""
        return await self._until_done(self._store.clock_skew_seconds)

    async def heartbeat(self, lag_seconds: float, journal_bytes: int) -> None:
        """Says once that the recorder lives; `status.is_ready` tells whether it came through."""
        beat = Heartbeat(self._host, __version__, self._started_at, lag_seconds, journal_bytes)
        try:
            await self._store.heartbeat(beat)
        except StoreError as error:
            self._failed(error)
        else:
            self._came_through()

    async def _try_batch(
        self, items: Sequence[Item], accounts: Sequence[SegmentAccount], fates: Fates
    ) -> bool:
        """True where something in the batch is poison."""
        sane = [item for item in items if id_milliseconds(item[0].id) <= LAST_MILLISECONDS]
        if len(sane) < len(items):
            return True
        records = [record for _, record in items]
        try:
            done = await self._until_done(lambda: self._store.deliver(records, accounts))
        except (PoisonError, FrameError):
            return True
        self._status.batches += 1
        if done.stored_whole:
            self._status.stored_whole += done.stored_whole
            _events.error("bodies_stored_whole", bodies=done.stored_whole)
        fates += [(transcript, self._fate(transcript.id, done)) for transcript, _ in items]
        return False

    async def _bisect(self, items: Sequence[Item], fates: Fates) -> None:
        """Delivers a poisoned batch by halves: 2 log2(500) transactions for one bad row among 500."""
        if len(items) == 1:
            fates.append((items[0][0], await self._deliver_poison(items[0])))
            return
        middle = len(items) // 2
        for half in (items[:middle], items[middle:]):
            if await self._try_batch(half, (), fates):
                await self._bisect(half, fates)

    async def _deliver_poison(self, item: Item) -> str:
        transcript, record = item
        fates: Fates = []
        for kind, simpler in (("raw_only", raw_only(record)), ("no_bodies", without_bodies(transcript))):
            if kind == "no_bodies" and not _is_unreadable(record):
                break
            if not await self._try_batch([(transcript, simpler)], (), fates):
                self._status.raw_only += 1
                _events.warning("exchange_simplified", exchange=transcript.id.hex(), kept=kind)
                return fates[0][1]
        if await self._is_erased(record):
            self._status.erased += 1
            return ERASED
        if self._quarantine.put(transcript):
            self._status.quarantined += 1
            _events.error("exchange_quarantined", exchange=transcript.id.hex())
            return QUARANTINED
        self._status.is_stuck = True
        _events.error("quarantine_full", exchange=transcript.id.hex())
        return STUCK

    async def _is_erased(self, record: Record) -> bool:
        """Whether an erasure stops what the store does not take."""
        try:
            return bool(await self._until_done(lambda: self._store.erased([record])))
        except PoisonError:
            return False

    def _fate(self, exchange_id: bytes, done: Delivered) -> str:
        if exchange_id in done.erased:
            self._status.erased += 1
            return ERASED
        if exchange_id in done.expired:
            self._status.expired += 1
            return EXPIRED
        if exchange_id in done.recorded:
            self._status.rows += 1
        else:
            self._status.repeated += 1
        return RECORDED

    async def _until_done(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Tries for ever; only poison and an unreadable journal leave."""
        while True:
            try:
                result = await attempt()
            except PoisonError:
                self._came_through()
                raise
            except StoreError as error:
                self._failed(error)
            else:
                self._came_through()
                return result
            await self._wait(self._backoff.failed())

    def _came_through(self) -> None:
        """The store answered."""
        self._backoff.succeeded()
        self._status.is_ready = True
        if self._complaint is not None:
            _events.info("store_is_back")
            self._complaint = self._status.last_error = None

    def _failed(self, error: StoreError) -> None:
        """The store did not; said once for each kind of failure."""
        self._status.errors += 1
        self._status.is_ready = False
        self._status.last_error = str(error)
        complaint = type(error).__name__
        if complaint == self._complaint:
            return
        self._complaint = complaint
        log = _events.error if isinstance(error, StoreMisconfiguredError) else _events.warning
        log("store_does_not_take_records", error=str(error))

    async def _wait(self, seconds: float) -> None:
        """Waits, and keeps what is measured of the journal fresh."""
        while seconds > 0:
            self._between_tries()
            await asyncio.sleep(min(1.0, seconds))
            seconds -= 1.0


def _is_unreadable(record: Record) -> bool:
    """Whether a record's bodies cannot be read again from the journal."""
    content = record.content
    if content is None:
        return False
    try:
        for body in (content.request_body, content.response_body):
            if body is not None:
                for _ in body.slices():
                    continue
    except FrameError:
        return True
    return False
