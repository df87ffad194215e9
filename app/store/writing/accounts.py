"""The accounts of segments that were let go, read back."""

from __future__ import annotations

import uuid

from app.store.database.pool import Pool
from app.store.statements import statements
from app.store.writing.record import SegmentAccount


async def accounts_of(pool: Pool, recorder_id: uuid.UUID) -> list[SegmentAccount]:
    """All that one recorder wrote, by writer and in the writer's order. Raises StoreError."""
    async with pool.transaction(readonly=True) as connection:
        rows = await connection.fetch(statements("accounts")["of_recorder"], recorder_id)
    return [SegmentAccount(*row.values()) for row in rows]
