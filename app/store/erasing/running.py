"""Erases what was asked for, from the tables: what a recorder runs now and then."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass, field

from app.store.database.partitions import TABLES
from app.store.database.periods import period_of, week_of_id
from app.store.database.pool import Pool
from app.store.erasing.removing import LOWEST_ID, Remover
from app.store.erasing.requests import LIVE_SECONDS, Target
from app.store.erasing.sweeping import Sweeper
from app.store.statements import statements

AT_ONCE = 1_000
"""Erasures that share a sweep."""
SWEPT_FROM_NODES = 20_000
"""So many are held in memory at once, and those of a page more."""
PLAIN_TABLES = (
    *("erasures", "erasure_nodes", "conversations", "conversation_names"),
    *("conversation_links", "usage_daily_users", "usage_daily_tags"),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    id: uuid.UUID
    target: Target


@dataclass(slots=True)
class _Touched:
    """Days whose partitions have dead rows."""

    days: set[datetime.date] = field(default_factory=set)

    def names(self) -> list[str]:
        """Tables to vacuum."""
        found = {
            f"{table}_{period_of(unit, each).suffix}" for each in self.days for table, unit in TABLES.items()
        }
        return sorted(found | set(PLAIN_TABLES))


class Eraser:
    """Works through the erasures of one database; its errors are StoreErrors, after which it goes on where it was."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("erasing")
        self._remover = Remover(pool)
        self._sweeper = Sweeper(pool)
        self._touched = _Touched()

    async def run_once(self) -> int:
        """Does all that can be done now; gives how many erasures the tables are done with."""
        done = 0
        asked = await self._unfinished()
        if not asked:
            return 0
        for each in asked:
            await self._remove(each)
        for place in await self._sweeper.places():
            self._touched.days.add(place.week)
            await self._sweeper.sweep(place)
        for each in await self._unfinished():
            if await self._is_due(each):
                done += await self._remover.finish(each.id, each.target)
        if done:
            await self._vacuum()
        return done

    async def _unfinished(self) -> list[_Asked]:
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["unfinished"], AT_ONCE)
        return [
            _Asked(row["id"], Target(row["project_id"], row["kind"], row["value"], row["until"]))
            for row in rows
        ]

    async def _is_due(self, asked: _Asked) -> bool:
        """A conversation goes when no journal has more of it: only what it holds tells what goes on with it."""
        if asked.target.kind != "conversation":
            return True
        async with self._pool.transaction(readonly=True) as connection:
            return not await connection.fetchval(
                self._sql["is_waiting_for_recorders"], asked.id, LIVE_SECONDS
            )

    async def _remove(self, asked: _Asked) -> None:
        if not await self._is_due(asked):
            return
        after, pages = LOWEST_ID, 0
        while (last := await self._remover.remove_page(asked.id, asked.target, after)) is not None:
            self._touched.days.add(week_of_id(last.bytes))
            self._touched.days.add(week_of_id(last.bytes) + datetime.timedelta(days=6))
            after, pages = last, pages + 1
            if pages % 10 == 0:
                await self._sweep_full()

    async def _sweep_full(self) -> None:
        """Sweeps where more waits than should be held at once."""
        for place in await self._sweeper.places():
            if place.nodes >= SWEPT_FROM_NODES:
                await self._sweeper.sweep(place)

    async def _vacuum(self) -> None:
        """Gives back what deleted rows took, where this role may; PostgreSQL does so by itself, but later."""
        async with self._pool.maintenance() as connection:
            rows = await connection.fetch(self._sql["vacuum_texts"], self._touched.names())
            for row in rows:
                await connection.execute(row["statement"])
        self._touched = _Touched()
