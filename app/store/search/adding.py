"""Makes exchanges searchable that are recorded already: those of a Verbatim that did not search yet."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from app.store.database.partitions import Partitions
from app.store.database.periods import day_of_id, week_number, week_of_id
from app.store.database.pool import Pool
from app.store.search.writing import SearchWriter
from app.store.statements import statements
from app.store.writing.record import Content, Record
from app.store.writing.rows import Join, Placed, columns, uuid_of


class SearchAdder:
    """Adds to one database; its errors are StoreErrors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._writer = SearchWriter()
        self._sql = statements("search")

    async def searched(self, exchange_ids: Sequence[bytes]) -> frozenset[bytes]:
        """Which of some exchanges are searched."""
        if not exchange_ids:
            return frozenset()
        ids = sorted(uuid_of(each) for each in exchange_ids)
        weeks = (week_of_id(ids[0].bytes), week_of_id(ids[-1].bytes))
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["searched"], ids, ids[0], ids[-1], *weeks)
        return frozenset(row["exchange_id"].bytes for row in rows)

    async def add(self, records: Sequence[tuple[int, Record]]) -> None:
        """Adds what these exchanges said (number of the project, record with its content), in one transaction."""
        if not records:
            return
        await Partitions(self._pool).make_for({day_of_id(record.id) for _, record in records})
        ids = sorted(uuid_of(record.id) for _, record in records)
        weeks = sorted({(project_id, week_number(week_of_id(record.id))) for project_id, record in records})
        async with self._pool.transaction() as connection:
            await connection.execute(statements("ingest")["lock_weeks"], *columns(weeks))
            rows = await connection.fetch(self._sql["parents"], ids, ids[0], ids[-1])
            parents: dict[uuid.UUID, uuid.UUID] = {row["id"]: row["parent_id"] for row in rows}
            placed = [
                Placed(record, project_id, Join(parent_id=parents.get(uuid_of(record.id))))
                for project_id, record in records
            ]
            await self._writer.write(connection, placed)


def spoken(said: Sequence[str]) -> Content:
    """Content that is nothing but what was said."""
    return Content(
        request_headers=[],
        response_headers=None,
        trailers=[],
        request_body=None,
        response_body=None,
        chunk_times=[],
        request_preview=None,
        response_preview=None,
        said=said,
    )
