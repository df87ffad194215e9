"""Deletes slices of bodies, and runs of talk, that nothing uses any more.

A slice goes when no exchange ends on it and nothing follows it. No index tells which exchanges end on a slice: it would
cost every recorded exchange more than all erasures together. So the week is read once for all that waits, without
keeping anybody out, and what was recorded since is looked at again, with the week locked, right before slices go.
Leaves go first: of a chain whose end is there, batches believe that the rest is.
"""

from __future__ import annotations

import datetime
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.store.database.periods import period_of, week_number
from app.store.database.pool import Pool
from app.store.erasing.removing import add_counts
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection

DELETED_AT_ONCE = 1_000
TIP_BYTES = 16
CLOCK_MARGIN = datetime.timedelta(seconds=1)
"""What was recorded so long before is looked at, too: clocks are set back."""


@dataclass(frozen=True, slots=True)
class Place:
    """The week of a project in which something waits."""

    project_id: int
    week: datetime.date
    nodes: int

    @property
    def key(self) -> tuple[int, datetime.date]:
        """As keys of tables have it."""
        return self.project_id, self.week

    @property
    def lock(self) -> tuple[int, int]:
        """What batches share."""
        return self.project_id, week_number(self.week)

    @property
    def ids(self) -> tuple[uuid.UUID, uuid.UUID]:
        """The lowest id of the week, and that of the next."""
        period = period_of("week", self.week)
        return period.first_id, period.end_id


class Sweeper:
    """Sweeps one database; its errors are StoreErrors, and what failed is tried again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("erasing")

    async def places(self) -> list[Place]:
        """Where something waits."""
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["places"])
        return [Place(row["project_id"], row["week"], row["nodes"]) for row in rows]

    async def sweep(self, place: Place) -> None:
        """Deletes of what waits in a week all that nothing uses, and notes the rest as kept."""
        since = await self._fence(place)
        waiting = await self._candidates(place)
        if not waiting:
            return
        kept = _with_ancestors(await self._in_use(place, waiting), waiting)
        await self._keep(place, kept, since)
        left = {node: parent for node, parent in waiting.items() if node not in kept}
        while left:
            since, used = await self._delete_some(place, left, since)
            for node in used:
                left.pop(node, None)

    async def _fence(self, place: Place) -> datetime.datetime:
        """A time before which every batch of the week is committed."""
        async with self._pool.transaction() as connection:
            await connection.execute(self._sql["lock_alone"], *place.lock)
            now: datetime.datetime = await connection.fetchval(self._sql["now"])
        return now

    async def _candidates(self, place: Place) -> dict[bytes, bytes | None]:
        """What waits, each with the slice before it."""
        async with self._pool.transaction(readonly=True) as connection:
            await connection.execute(self._sql["plan_well"])
            rows = await connection.fetch(self._sql["candidates"], *place.key)
            nodes = [row["node"] for row in rows]
            parents = await connection.fetch(self._sql["parents"], *place.key, nodes)
        return dict.fromkeys(nodes) | {row["node"]: row["parent"] for row in parents}

    async def _in_use(self, place: Place, waiting: dict[bytes, bytes | None]) -> set[bytes]:
        """What exchanges end with, or slices of others follow; reads the whole week."""
        nodes = sorted(waiting)
        async with self._pool.maintenance() as connection:
            ends = await connection.fetch(self._sql["ends_in_use"], place.project_id, *place.ids, nodes)
            parents = await connection.fetch(self._sql["parents_in_use"], *place.key, nodes)
        return {row["node"] for row in (*ends, *parents)}

    async def _keep(self, place: Place, kept: set[bytes], since: datetime.datetime) -> None:
        if kept:
            async with self._pool.transaction() as connection:
                await connection.execute(self._sql["lock_erasing"])
                await connection.execute(self._sql["keep_nodes"], *place.key, sorted(kept), since)

    async def _delete_some(
        self, place: Place, left: dict[bytes, bytes | None], since: datetime.datetime
    ) -> tuple[datetime.datetime, set[bytes]]:
        """Deletes leaves; gives the time up to which use is known, and what is settled: deleted, or used since."""
        async with self._pool.transaction() as connection:
            await connection.execute(self._sql["plan_well"])
            await connection.execute(self._sql["lock_erasing"])
            await connection.execute(self._sql["lock_alone"], *place.lock)
            now: datetime.datetime = await connection.fetchval(self._sql["now"])
            rows = await connection.fetch(
                self._sql["newly_used"], *place.key, *place.ids, sorted(left), since - CLOCK_MARGIN
            )
            used = _with_ancestors({row["node"] for row in rows}, left)
            if used:
                await connection.execute(self._sql["keep_nodes"], *place.key, sorted(used), now)
            nodes = _leaves({node: parent for node, parent in left.items() if node not in used})
            await self._delete(connection, place, nodes)
        return now, used | set(nodes)

    async def _delete(self, connection: Connection, place: Place, nodes: list[bytes]) -> None:
        tips = [uuid.UUID(bytes=each) for each in nodes if len(each) == TIP_BYTES]
        slices = [each for each in nodes if len(each) != TIP_BYTES]
        await connection.execute(self._sql["delete_pieces"], *place.key, slices)
        await connection.execute(self._sql["delete_runs"], *place.key, tips)
        gone = await connection.fetch(self._sql["forget_nodes"], *place.key, nodes)
        counts: dict[uuid.UUID, Counter[str]] = {}
        for row in gone:
            counts.setdefault(row["erasure_id"], Counter())["runs" if row["is_run"] else "pieces"] += 1
        for erasure_id in sorted(counts):
            await add_counts(connection, erasure_id, counts[erasure_id])


def _with_ancestors(nodes: set[bytes], parents: dict[bytes, bytes | None]) -> set[bytes]:
    """Nodes and all that lead to them, as far as they wait."""
    found: set[bytes] = set()
    for each in nodes:
        node: bytes | None = each
        while node is not None and node in parents and node not in found:
            found.add(node)
            node = parents[node]
    return found


def _leaves(parents: dict[bytes, bytes | None]) -> list[bytes]:
    """The next nodes to delete: each behind all that follow it, DELETED_AT_ONCE at most."""
    followers = Counter(parent for parent in parents.values() if parent in parents)
    ready = [node for node in parents if not followers[node]]
    order: list[bytes] = []
    while ready and len(order) < DELETED_AT_ONCE:
        node = ready.pop()
        order.append(node)
        parent = parents[node]
        if parent is not None and parent in parents:
            followers[parent] -= 1
            if not followers[parent]:
                ready.append(parent)
    return order
