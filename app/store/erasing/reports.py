"""What recorders say of the journals on their disks."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from app.store.database.pool import Pool
from app.store.statements import statements
from app.store.writing.record import Record
from app.store.writing.rows import columns


@dataclass(frozen=True, slots=True)
class Report:
    """Nothing of an erasure is left on a recorder's disk."""

    erasure_id: uuid.UUID
    quarantined: int = 0
    """Exchanges that were taken out of the quarantine."""
    unreadable: int = 0
    """Files there of which nobody can tell what is in them."""


class Reports:
    """For one recorder; its errors are StoreErrors."""

    def __init__(self, pool: Pool, recorder_id: uuid.UUID) -> None:
        self._pool = pool
        self._recorder_id = recorder_id
        self._sql = statements("erasing")

    async def wanted(self) -> list[uuid.UUID]:
        """Erasures that this recorder has not reported."""
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["unreported"], self._recorder_id)
        return [row["id"] for row in rows]

    async def give(self, reports: Sequence[Report]) -> None:
        """Reports."""
        rows = [(each.erasure_id, each.quarantined, each.unreadable) for each in reports]
        async with self._pool.transaction() as connection:
            await connection.execute(self._sql["report"], *columns(rows), self._recorder_id)

    async def stopped(self, records: Sequence[Record]) -> dict[bytes, list[uuid.UUID]]:
        """Which of these exchanges tombstones stop, and those of which erasures."""
        if not records:
            return {}
        return await stopped_by(self._pool, records)


async def stopped_by(pool: Pool, records: Sequence[Record]) -> dict[bytes, list[uuid.UUID]]:
    """Which exchanges tombstones stop, by what is known of them without their conversations; and which erasures' these
    are."""
    rows = [
        (each.project, uuid.UUID(bytes=each.id), each.started_at, each.user, each.key, each.conversation)
        for each in records
    ]
    async with pool.transaction(readonly=True) as connection:
        found = await connection.fetch(statements("erasing")["stopped"], *columns(rows))
    stopped: dict[bytes, list[uuid.UUID]] = {}
    for row in found:
        stopped.setdefault(row["id"].bytes, []).append(row["erasure_id"])
    return stopped
