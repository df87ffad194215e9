"""Writes batches: each exchange once, however often it is delivered.

One transaction a batch, tables in one fixed order. Exchanges go first; all else is written only for the ids that this
very statement inserted, so that a replay doubles no sum and a tombstone stops everything. The weeks of a batch are
locked, shared: an erasure takes the same locks alone, so that no piece is erased while a batch relies on it.
"""

from __future__ import annotations

import datetime
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import asyncpg

from app.clock import id_milliseconds, utc_from_ns, utc_now
from app.errors import PoisonError, StoreError, StoreUnavailableError
from app.store.conversations.writing import Conversations
from app.store.database.failures import is_missing_partition
from app.store.database.partitions import Partitions
from app.store.database.periods import day_of_id, week_number
from app.store.database.pool import Pool
from app.store.database.retention import Horizon
from app.store.erasing.reports import stopped_by
from app.store.search.writing import SearchWriter
from app.store.statements import statements
from app.store.writing.content import ContentWriter
from app.store.writing.counted import count_once
from app.store.writing.record import Delivered, Record, SegmentAccount
from app.store.writing.rows import Placed, columns, exchange_row, segment_row
from app.store.writing.sums import add_sums, sum_rows
from app.store.writing.tags import SummedTags

if TYPE_CHECKING:
    from app.store.database.pool import Connection

LAST_MILLISECONDS = 253_370_764_800_000
"""The beginning of the year 9999: dates end there, and the last month would have no end."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a recorder says of itself."""

    host: str
    version: str
    started_at: datetime.datetime
    lag_seconds: float
    """Age of the oldest exchange that ended and is not recorded."""
    journal_bytes: int


class Ingest:
    """Delivers records for one recorder.

    Its errors: StoreUnavailableError (try again; the batch may have been committed, and a replay does no harm),
    StoreMisconfiguredError (the same, and call an operator), PoisonError (bisect the batch).
    """

    def __init__(self, pool: Pool, recorder_id: uuid.UUID, horizon: Horizon | None = None) -> None:
        self._pool = pool
        self._recorder_id = recorder_id
        self._horizon = horizon or Horizon()
        self._partitions = Partitions(pool)
        self._content = ContentWriter()
        self._conversations = Conversations()
        self._search = SearchWriter()
        self._tags = SummedTags()
        self._project_ids: dict[str, int] = {}
        self._sql = statements("ingest")

    async def deliver(self, records: Sequence[Record], accounts: Sequence[SegmentAccount] = ()) -> Delivered:
        """Writes records and accounts in one transaction, and tells by id what it did."""
        now = utc_now()
        wanted = {each.id: each for each in records}
        expired = frozenset(_older(wanted.values(), self._horizon.oldest_metadata(now)))
        kept = [each for each in wanted.values() if each.id not in expired]
        contentless = frozenset(_older(kept, self._horizon.oldest_content(now)))
        try:
            placed = await self._place(kept)
            done = await self._write(placed, contentless, accounts)
        except StoreError:
            self._project_ids.clear()  # another database may stand there at the next try
            raise
        return replace(done, expired=expired)

    async def account(self, accounts: Sequence[SegmentAccount]) -> None:
        """Writes accounts of segments alone; what is there stays as it is."""
        async with self._pool.transaction() as connection:
            await self._account(connection, accounts)

    async def known(self, exchange_ids: Iterable[bytes]) -> frozenset[bytes]:
        """Which of these exchanges are recorded, or were erased by their ids."""
        ids = [uuid.UUID(bytes=each) for each in exchange_ids]
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["known_ids"], ids)
            rows += await connection.fetch(self._sql["known_erased"], ids)
        return frozenset(row["id"].bytes for row in rows)

    async def erased(self, records: Sequence[Record]) -> frozenset[bytes]:
        """Which of these exchanges an erasure stops, as far as that is known without their conversations."""
        return frozenset(await stopped_by(self._pool, records))

    async def heartbeat(self, beat: Heartbeat) -> None:
        """Says that this recorder lives, and makes the partitions that are needed soon."""
        async with self._pool.transaction() as connection:
            await connection.execute(
                self._sql["heartbeat"],
                *(
                    self._recorder_id,
                    beat.host,
                    beat.version,
                    beat.started_at,
                    beat.lag_seconds,
                    beat.journal_bytes,
                ),
            )
            await self._conversations.mend(connection)
        await self._partitions.make_ahead(utc_now().date())

    async def clock_skew_seconds(self) -> float:
        """How far the database's clock is ahead of ours; negative where it is behind."""
        async with self._pool.transaction() as connection:
            before = utc_now()
            theirs: datetime.datetime = await connection.fetchval(self._sql["clock"])
            middle = before + (utc_now() - before) / 2
        return (theirs - middle).total_seconds()

    async def _write(
        self, placed: list[Placed], contentless: frozenset[bytes], accounts: Sequence[SegmentAccount]
    ) -> Delivered:
        """One transaction; once more where a partition was missing."""
        for attempt in range(2):
            try:
                async with self._pool.transaction() as connection:
                    return await self._write_in(connection, placed, contentless, accounts)
            except _MissingPartition as error:
                self._partitions.forget()
                if attempt:
                    raise StoreUnavailableError(
                        f"a partition went while it was written to: {error}"
                    ) from error
            await self._partitions.make_for({day_of_id(each.record.id) for each in placed})
        raise AssertionError("the loop returns or raises")

    async def _write_in(
        self,
        connection: Connection,
        placed: list[Placed],
        contentless: frozenset[bytes],
        accounts: Sequence[SegmentAccount],
    ) -> Delivered:
        recorded: frozenset[bytes] = frozenset()
        erased: frozenset[bytes] = frozenset()
        try:
            if placed:
                await self._lock_weeks(connection, placed)
                placed = await self._conversations.join(connection, placed)
                recorded, erased = await self._insert_exchanges(connection, placed)
            fresh = [each for each in placed if each.record.id in recorded]
            full = [each for each in fresh if each.record.id not in contentless]
            stored_whole = await self._content.write(connection, full)
            await self._conversations.write(connection, fresh, full)
            await self._search.write(connection, full)
            await self._add_sums(connection, await count_once(connection, fresh))
            await self._account(connection, accounts)
        except asyncpg.CheckViolationError as error:
            if is_missing_partition(error):
                raise _MissingPartition(error.table_name) from error
            raise
        return Delivered(recorded, erased, frozenset(), stored_whole)

    async def _lock_weeks(self, connection: Connection, placed: list[Placed]) -> None:
        weeks = sorted({(each.project_id, week_number(each.week)) for each in placed})
        await connection.execute(self._sql["lock_weeks"], *columns(weeks))

    async def _insert_exchanges(
        self, connection: Connection, placed: list[Placed]
    ) -> tuple[frozenset[bytes], frozenset[bytes]]:
        rows = [exchange_row(each, self._recorder_id) for each in placed]
        answers = await connection.fetch(self._sql["insert_exchanges"], *columns(rows))
        recorded = frozenset(row["id"].bytes for row in answers if row["erasure_id"] is None)
        erased = frozenset(row["id"].bytes for row in answers if row["erasure_id"] is not None)
        if erased:
            stopped = Counter(row["erasure_id"] for row in answers if row["erasure_id"] is not None)
            counts = (list(stopped), list(stopped.values()))
            await connection.execute(self._sql["add_stopped"], *counts, self._recorder_id)
        return recorded, erased

    async def _add_sums(self, connection: Connection, placed: list[Placed]) -> None:
        sums = sum_rows(placed)
        sums["add_daily_tags"] = await self._tags.of(connection, sums["add_daily_tags"])
        await add_sums(connection, sums)

    async def _account(self, connection: Connection, accounts: Sequence[SegmentAccount]) -> None:
        if accounts:
            ordered = sorted(accounts, key=lambda each: (each.boot, each.slot, each.counter))
            rows = [segment_row(each, self._recorder_id) for each in ordered]
            await connection.execute(self._sql["insert_segments"], *columns(rows))

    async def _place(self, records: Sequence[Record]) -> list[Placed]:
        """Finds the numbers of projects, or makes them; in the order of keys, which all batches share."""
        if any(id_milliseconds(each.id) > LAST_MILLISECONDS for each in records):
            raise PoisonError("its id is of a time beyond the year 9998")
        missing = sorted({each.project for each in records} - self._project_ids.keys())
        if missing:
            async with self._pool.transaction() as connection:
                found = await connection.fetch(self._sql["project_ids"], missing)
                if len(found) < len(missing):
                    await connection.execute(self._sql["make_projects"], missing)
                    found = await connection.fetch(self._sql["project_ids"], missing)
            self._project_ids.update((row["name"], row["id"]) for row in found)
        placed = [Placed(each, self._project_ids[each.project]) for each in records]
        return sorted(placed, key=lambda each: (each.project_id, each.record.id))


class _MissingPartition(Exception):
    """A week or month has no partition yet; it is made and the batch tried again."""


def _older(records: Iterable[Record], oldest: datetime.datetime | None) -> Iterable[bytes]:
    """Ids of exchanges that began before."""
    if oldest is None:
        return []
    return [each.id for each in records if utc_from_ns(id_milliseconds(each.id) * 1_000_000) < oldest]
