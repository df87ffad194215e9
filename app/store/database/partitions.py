"""Months and weeks of the large tables: made on demand and ahead, and dropped, without stopping readers or writers.

A partition is made as a table of its own and attached, and detached before it is dropped: both take locks that go
with reading and writing, where a plain CREATE or DROP waits behind any open reader and lets nobody pass. A drop that
a reader holds up gives up after lock_timeout, and the next one goes on where it stopped.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg

from app.errors import StoreUnavailableError
from app.store.database.periods import Period, Unit, period_of
from app.store.database.pool import Pool
from app.store.statements import statements

TABLES: dict[str, Unit] = {
    "exchanges": "month",
    "transcripts": "week",
    "pieces": "week",
    "messages": "week",
    "search_tail": "week",
    "search_text": "week",
    "search_segments": "week",
    "search_sig": "week",
}
"""Partitioned tables."""
CONTENT_TABLES = (
    *("transcripts", "pieces", "messages"),
    *("search_tail", "search_text", "search_segments", "search_sig"),
)
"""Those that hold what was said; the rest is metadata."""
SHARED_TABLES = ("pieces", "messages", "search_text", "search_segments", "search_sig")
"""Those whose rows exchanges share, so that the week itself is in their key."""
AHEAD_DAYS = 10

_SUFFIX = re.compile(r"_[mw](\d{4})_(\d{2})(?:_(\d{2}))?$")


@dataclass(frozen=True, slots=True)
class Partition:
    """One month or week of a table."""

    table: str
    name: str
    period: Period
    attached: bool
    """False while it is taken out, and where a drop stopped half-way."""
    detaching: bool
    size_bytes: int
    """On disk, with indexes."""
    estimated_rows: int


class Partitions:
    """Makes, lists and drops the partitions of one database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("partitions")
        self._known: set[str] = set()

    async def make_for(self, days: Iterable[datetime.date]) -> list[str]:
        """Makes what is missing for exchanges of these days; gives the names of what it made."""
        wanted = {
            f"{table}_{period.suffix}": (table, period)
            for day in days
            for table, unit in TABLES.items()
            for period in [period_of(unit, day)]
        }
        missing = sorted(wanted.keys() - self._known)
        made = [name for name in missing if await self._make(wanted[name][0], name, wanted[name][1])]
        self._known.update(missing)
        return made

    async def make_ahead(self, today: datetime.date) -> list[str]:
        """Makes what exchanges of today and the next AHEAD_DAYS days need."""
        return await self.make_for(today + datetime.timedelta(days=each) for each in range(AHEAD_DAYS + 1))

    def forget(self) -> None:
        """Looks again for each partition; for when a row found none although it was thought to be there."""
        self._known.clear()

    async def listing(self) -> list[Partition]:
        """All partitions with their sizes, by table and time."""
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["list"], list(TABLES))
        return [
            Partition(
                table=row["table_name"],
                name=row["partition_name"],
                period=period_named(row["table_name"], row["partition_name"]),
                attached=row["attached"],
                detaching=row["detaching"],
                size_bytes=row["size_bytes"],
                estimated_rows=row["estimated_rows"],
            )
            for row in rows
        ]

    async def total_bytes(self) -> int:
        """All tables of the store, on disk, with indexes."""
        async with self._pool.transaction(readonly=True) as connection:
            rest: int = await connection.fetchval(statements("storage")["rest"], list(TABLES))
        return rest + sum(each.size_bytes for each in await self.listing())

    async def drop(self, partition: Partition, attempts: int = 3) -> None:
        """Takes a partition out and drops it; raises StoreUnavailableError where a reader holds it up each time."""
        self._known.discard(partition.name)
        for left in reversed(range(attempts)):
            try:
                await self._drop(partition.table, partition.name)
                return
            except StoreUnavailableError:
                if left == 0:
                    raise

    async def _make(self, table: str, name: str, period: Period) -> bool:
        if table in SHARED_TABLES:
            lower, upper = str(period.first_day), str(period.end_day)
        else:
            lower, upper = str(period.first_id), str(period.end_id)
        async with self._pool.transaction() as connection:
            await connection.execute(self._sql["lock_partition"])
            if await connection.fetchval(self._sql["exists"], name):
                return False
            await connection.execute(await connection.fetchval(self._sql["create_text"], table, name))
            attach = await connection.fetchval(self._sql["attach_text"], table, name, lower, upper)
            await connection.execute(attach)
        return True

    async def _drop(self, table: str, name: str) -> None:
        found = {each.name: each for each in await self.listing()}.get(name)
        if found is None:
            return
        async with self._pool.maintenance() as connection:
            if found.attached or found.detaching:
                detach = await connection.fetchval(self._sql["detach_text"], table, name, found.detaching)
                await connection.execute(detach)
            try:
                await connection.execute(await connection.fetchval(self._sql["drop_text"], name))
            except asyncpg.UndefinedTableError:
                return  # somebody else was faster


def period_named(table: str, name: str) -> Period:
    """The period that a partition's name tells."""
    found = _SUFFIX.search(name)
    if found is None:
        raise ValueError(f"{name} is no partition's name")
    year, month, day = found.groups()
    return period_of(TABLES[table], datetime.date(int(year), int(month), int(day or 1)))
