"""Pages of exchanges in which something was said and that pass a filter: by words first, or by the filter first."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.store.filter import Filter, Order
from app.store.search.searching import BUDGET_SECONDS, Found, Search, Wanted
from app.store.search.snippets import Snippet, read_snippets
from app.store.search.terms import Terms
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.pool import Connection

FEW = 2_000
"""So many exchanges that pass a filter are searched themselves."""
CHUNK = 200


class SearchedLists:
    """Searches with a filter; in a reading transaction of the caller's."""

    def __init__(self) -> None:
        self._search = Search()
        self._sql = statements("query")

    async def find(
        self,
        connection: Connection,
        wanted: Filter,
        terms: Terms,
        project_ids: Sequence[int],
        limit: int,
        span: tuple[uuid.UUID, uuid.UUID],
        order: Order,
    ) -> Found:
        """The next `limit` exchanges from id to before id."""
        project_id = project_ids[0] if len(project_ids) == 1 else None
        parameters = wanted.parameters(project_id)
        is_filtered = any(each is not None for each in parameters[1:])
        if is_filtered and wanted.has_index():
            few = await connection.fetch(self._sql["matching"], *span, FEW + 1, *parameters)
            if len(few) <= FEW:
                places = [(row["project_id"], row["id"]) for row in few]
                return await self._among(connection, places, terms, limit, order)

        async def accept(ids: list[uuid.UUID]) -> set[uuid.UUID]:
            rows = await connection.fetch(self._sql["matching_among"], *span, ids, *parameters)
            return {row["id"] for row in rows}

        return await self._search.find(
            connection,
            Wanted(
                *(terms, project_ids, *span, limit, order, accept if is_filtered else None, BUDGET_SECONDS)
            ),
        )

    async def among(
        self, connection: Connection, terms: Terms, places: Sequence[tuple[int, uuid.UUID]]
    ) -> set[uuid.UUID]:
        """Which of some exchanges (project and id) say the words."""
        by_project: dict[int, list[uuid.UUID]] = {}
        for project_id, exchange_id in places:
            by_project.setdefault(project_id, []).append(exchange_id)
        found: set[uuid.UUID] = set()
        for project_id, ids in by_project.items():
            found |= await self._search.among(connection, project_id, terms, ids)
        return found

    async def snippets(
        self, connection: Connection, terms: Terms, places: Sequence[tuple[int, uuid.UUID]]
    ) -> dict[uuid.UUID, list[Snippet]]:
        """Where these exchanges say the words."""
        by_project: dict[int, list[uuid.UUID]] = {}
        for project_id, exchange_id in places:
            by_project.setdefault(project_id, []).append(exchange_id)
        found: dict[uuid.UUID, list[Snippet]] = {}
        for project_id, ids in by_project.items():
            found.update(await read_snippets(connection, project_id, terms, ids))
        return found

    async def _among(
        self,
        connection: Connection,
        places: list[tuple[int, uuid.UUID]],
        terms: Terms,
        limit: int,
        order: Order,
    ) -> Found:
        places.sort(key=lambda each: each[1], reverse=order == "desc")
        found: list[uuid.UUID] = []
        for begin in range(0, len(places), CHUNK):
            chunk = places[begin : begin + CHUNK]
            said: set[Any] = await self.among(connection, terms, chunk)
            found += [each for _, each in chunk if each in said]
            if len(found) > limit:
                break
        return Found(found[:limit], len(found) > limit)
