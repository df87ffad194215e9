"""Pages of exchanges in which something was said and that pass a filter: by words first, or by the filter first."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.store.filter import Order
from app.store.filters.conditions import composed
from app.store.pages import Wanted as Page
from app.store.pages import few_of, within
from app.store.search.searching import BUDGET_SECONDS, Found, Search, Wanted
from app.store.search.snippets import Snippet, read_snippets
from app.store.search.terms import Terms
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.pool import Connection

FEW = 2_000
"""So many exchanges that pass a filter are searched themselves."""
FEW_SECONDS = 0.5
"""Finding them takes no longer."""
CHUNK = 200


class SearchedLists:
    """Searches with a filter; in a reading transaction of the caller's."""

    def __init__(self) -> None:
        self._search = Search()
        self._sql = statements("lists")

    async def find(self, connection: Connection, page: Page, terms: Terms) -> Found:
        """The exchanges of a page that say the words, in its order of time."""
        span = (page.low, page.high)
        conditions = page.filter.conditions(page.project_id)
        is_filtered = bool(page.filter.asked() - {"project", "since", "until", "q"})
        if is_filtered and (places := await self._few(connection, page)) is not None:
            return await self._among(connection, places, terms, page.limit, page.order)

        async def accept(ids: list[uuid.UUID]) -> set[uuid.UUID]:
            statement, *parameters = composed(self._sql["matching_among"], (*span, ids), conditions)
            return {row["id"] for row in await connection.fetch(statement, *parameters)}

        searched = Wanted(
            *(terms, page.project_ids, *span, page.limit, page.order),
            *(accept if is_filtered else None, BUDGET_SECONDS),
        )
        return await self._search.find(connection, searched)

    async def _few(self, connection: Connection, page: Page) -> list[tuple[int, uuid.UUID]] | None:
        """The exchanges that pass the filter, where an index leads to few."""
        span, conditions = (page.low, page.high), page.filter.conditions(page.project_id)
        few = await few_of(connection, page)
        if few is not None:
            asked = composed(self._sql["matching_among"], (*span, [each for _, each in few]), conditions)
            passing = {row["id"] for row in await connection.fetch(asked[0], *asked[1:])}
            return [each for each in few if each[1] in passing]
        if not page.filter.has_index():
            return None
        asked = composed(self._sql["matching"], (*span, FEW + 1), conditions)
        rows = await within(connection, FEW_SECONDS, *asked)
        if rows is None or len(rows) > FEW:
            return None
        return [(row["project_id"], row["id"]) for row in rows]

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
