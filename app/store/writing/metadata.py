"""Metadata that is set after an exchange was recorded; its bytes stay as they were."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

from app.store.database.pool import Pool
from app.store.statements import statements


class MetadataWriter:
    """Writes in one database; its errors are StoreErrors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("metadata")

    async def set(self, exchange_id: uuid.UUID, metadata: Mapping[str, str]) -> bool:
        """Sets an exchange's metadata, for readers and for filters; False where there is no such exchange."""
        text = json.dumps(dict(metadata))
        async with self._pool.transaction() as connection:
            project_id = await connection.fetchval(self._sql["set_metadata"], exchange_id, text)
            if project_id is None:
                return False
            await connection.execute(self._sql["set_facts"], project_id, exchange_id, text)
        return True
