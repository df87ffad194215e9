"""The whole filter, words included: pages of what was said, by words first or by the filter first, and what passes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.store.filters.filter import Order
from app.store.pages.matching import Key, few, passing
from app.store.pages.wanted import Wanted as Page
from app.store.search.searching import BUDGET_SECONDS, Found, Search, Wanted
from app.store.search.snippets import Snippet, read_snippets
from app.store.search.terms import Terms, parse_terms

if TYPE_CHECKING:
    from app.store.database.pool import Connection

CHUNK = 200
"""Exchanges of which it is asked at once whether they say the words."""


class SearchedLists:
    """Searches with a filter; in a reading transaction of the caller's."""

    def __init__(self) -> None:
        self._search = Search()

    async def find(self, connection: Connection, page: Page, budget_seconds: float = BUDGET_SECONDS) -> Found:
        """The exchanges of a page that say what the filter's `q` asks for, in its order of time. Raises TermsError."""
        terms = parse_terms(page.filter.q or "")
        is_filtered = bool(page.filter.asked() - {"project", "since", "until", "q"})
        if is_filtered and (keys := await few(connection, page)) is not None:
            return await self._among_few(connection, keys, terms, page.limit, page.order)

        async def accept(ids: list[uuid.UUID]) -> set[uuid.UUID]:
            return {exchange_id for _, exchange_id in await passing(connection, page, ids)}

        searched = Wanted(
            *(terms, page.project_ids, page.low, page.high, page.limit, page.order),
            *(accept if is_filtered else None, budget_seconds),
        )
        return await self._search.find(connection, searched)

    async def passing(self, connection: Connection, page: Page, ids: Sequence[uuid.UUID]) -> list[Key]:
        """Those of some exchanges that pass the filter, words included; in no order. Raises TermsError."""
        keys = await passing(connection, page, ids)
        if page.filter.q is None or not keys:
            return keys
        terms, said = parse_terms(page.filter.q), set[uuid.UUID]()
        for begin in range(0, len(keys), CHUNK):
            said |= await self._among(connection, terms, keys[begin : begin + CHUNK])
        return [each for each in keys if each[1] in said]

    async def snippets(
        self, connection: Connection, terms: Terms, keys: Sequence[Key]
    ) -> dict[uuid.UUID, list[Snippet]]:
        """Where these exchanges say the words."""
        found: dict[uuid.UUID, list[Snippet]] = {}
        for project_id, ids in _by_project(keys).items():
            found.update(await read_snippets(connection, project_id, terms, ids))
        return found

    async def _among(self, connection: Connection, terms: Terms, keys: Sequence[Key]) -> set[uuid.UUID]:
        """Which of some exchanges say the words."""
        found: set[uuid.UUID] = set()
        for project_id, ids in _by_project(keys).items():
            found |= await self._search.among(connection, project_id, terms, ids)
        return found

    async def _among_few(
        self, connection: Connection, keys: list[Key], terms: Terms, limit: int, order: Order
    ) -> Found:
        keys.sort(key=lambda each: each[1], reverse=order == "desc")
        found: list[uuid.UUID] = []
        for begin in range(0, len(keys), CHUNK):
            chunk = keys[begin : begin + CHUNK]
            said = await self._among(connection, terms, chunk)
            found += [exchange_id for _, exchange_id in chunk if exchange_id in said]
            if len(found) > limit:
                break
        return Found(found[:limit], len(found) > limit)


def _by_project(keys: Sequence[Key]) -> dict[int, list[uuid.UUID]]:
    found: dict[int, list[uuid.UUID]] = {}
    for project_id, exchange_id in keys:
        found.setdefault(project_id, []).append(exchange_id)
    return found
