"""Pages of conversations, in the order in which they began: those of which an exchange passes a filter.

Where few exchanges pass, their conversations are the answer. Where many do, conversations are looked at in their order,
window by window, until the page is full or the time is up; what was not reached is left to the next page.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.clock import monotonic_ns
from app.store.filters.conditions import composed
from app.store.filters.filter import HIGHEST_ID, LOWEST_ID
from app.store.pages.matching import FEW, few
from app.store.pages.wanted import Wanted
from app.store.pages.within import LEAST_SECONDS, QUICK_SECONDS, within
from app.store.reading.stored import ConversationPage, StoredConversation
from app.store.search.listing import SearchedLists
from app.store.statements import statements

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

BUDGET_SECONDS = 2.0
SEARCH_SECONDS = 0.5
"""So long it is tried to find all exchanges that say some words."""
FIRST_WINDOW, LARGEST_WINDOW = 200, 20_000
FIRST_SEARCHED, LARGEST_SEARCHED = 50, 800
"""Conversations at a time, where words are looked for in each."""
MOST_SEARCHED = 10_000
"""Exchanges of one conversation in which words are looked for."""
MOST_SUMMED = 1_000
"""Exchanges of one conversation that are summed up."""
SUM_SECONDS = 1.0

_BEGINNINGS = ("title", "started_at", "last_at", "model", "upstream", "key")
_SUMS = ("models", "input_tokens", "output_tokens", "cost", "unpriced")


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows of conversations, in order."""

    rows: list[asyncpg.Record]
    has_more: bool
    resume_after: uuid.UUID | None = None


class ConversationPages:
    """Reads conversations; in a reading transaction of the caller's."""

    def __init__(self, searched: SearchedLists) -> None:
        self._searched = searched
        self._sql = statements("conversation_pages")

    async def page(
        self, connection: Connection, wanted: Wanted, after: uuid.UUID | None, projects: dict[int, str]
    ) -> ConversationPage:
        """The page that follows one conversation. `wanted` is what exchanges of them pass. Raises TermsError."""
        found = await self._find(connection, wanted, after)
        conversations = await self._told(connection, found.rows, projects)
        return ConversationPage(conversations, found.has_more, found.resume_after)

    async def one(
        self, connection: Connection, conversation_id: uuid.UUID, projects: dict[int, str]
    ) -> StoredConversation | None:
        """One conversation, or the one that it was joined to; None where there is none."""
        rows = await connection.fetch(self._sql["conversation"], conversation_id, list(projects))
        return (await self._told(connection, rows, projects))[0] if rows else None

    async def turns(
        self, connection: Connection, conversation: StoredConversation, most: int
    ) -> list[asyncpg.Record]:
        """Its first exchanges, in the order in which they began."""
        place = (conversation.project_id, conversation.id, conversation.last_id)
        return await connection.fetch(self._sql["turns"], *place, most)

    async def _find(self, connection: Connection, wanted: Wanted, after: uuid.UUID | None) -> _Found:
        walk = _Walk(connection, wanted, after, self._searched)
        if not wanted.filter.asked() - {"project"}:
            return _cut(await walk.window(wanted.limit + 1), wanted)
        deadline = monotonic_ns() + int(BUDGET_SECONDS * 1e9)
        ids = await self._few(connection, wanted)
        if ids is None:
            return await walk.by_windows(deadline)
        rows = await connection.fetch(self._sql["of_exchanges"], ids, min(ids), max(ids)) if ids else []
        is_down = wanted.order == "desc"
        rows.sort(key=lambda row: row["id"].bytes, reverse=is_down)
        if after is not None:
            rows = [row for row in rows if (row["id"] < after if is_down else row["id"] > after)]
        return _cut(rows, wanted)

    async def _few(self, connection: Connection, wanted: Wanted) -> list[uuid.UUID] | None:
        """All exchanges that pass, where they are few."""
        if wanted.filter.q is None:
            keys = await few(connection, wanted, by_any_plan=True)
            return None if keys is None else [exchange_id for _, exchange_id in keys]
        every = Wanted(wanted.filter, wanted.project_ids, wanted.low, wanted.high, FEW)
        found = await self._searched.find(connection, every, SEARCH_SECONDS)
        return None if found.has_more else found.ids

    async def _told(
        self, connection: Connection, rows: Sequence[asyncpg.Record], projects: dict[int, str]
    ) -> list[StoredConversation]:
        if not rows:
            return []
        places = _places(rows)
        beginnings = {row["id"]: row for row in await connection.fetch(self._sql["beginnings"], *places)}
        summed = await within(connection, SUM_SECONDS, self._sql["sums"], *places, MOST_SUMMED + 1)
        sums = {row["id"]: row for row in summed or () if row["counted"] <= MOST_SUMMED}
        return [_conversation(row, beginnings[row["id"]], sums.get(row["id"]), projects) for row in rows]


class _Walk:
    """One page on its way through conversations in their order."""

    def __init__(
        self, connection: Connection, wanted: Wanted, after: uuid.UUID | None, searched: SearchedLists
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._searched = searched
        self._sql = statements("conversation_pages")
        self._after = after
        self._is_searched = wanted.filter.q is not None

    async def window(self, size: int) -> list[asyncpg.Record]:
        """The next conversations, wanted or not."""
        is_down = self._wanted.order == "desc"
        after = self._after or (HIGHEST_ID if is_down else LOWEST_ID)
        statement = self._sql["newest" if is_down else "oldest"]
        return await self._connection.fetch(statement, list(self._wanted.project_ids), after, size)

    async def by_windows(self, deadline: int) -> _Found:
        """Window by window; one at least, so that each page comes further."""
        rows: list[asyncpg.Record] = []
        size, largest = FIRST_WINDOW, LARGEST_WINDOW
        if self._is_searched:
            size, largest = FIRST_SEARCHED, LARGEST_SEARCHED
        has_moved = False
        while len(rows) <= self._wanted.limit:
            begun = monotonic_ns()
            if has_moved and begun > deadline:
                return _Found(rows, has_more=True, resume_after=self._after)
            window = await self.window(size)
            passing = await self._passing(window, max((deadline - begun) / 1e9, LEAST_SECONDS))
            if passing is None:
                if size == 1:
                    return _Found(rows, has_more=True, resume_after=self._after)
                size = max(1, size // 16)
                continue
            rows += [row for row in window if row["id"] in passing]
            if len(window) < size:
                return _cut(rows, self._wanted)
            self._after, has_moved = window[-1]["id"], True
            if monotonic_ns() - begun < QUICK_SECONDS * 1e9:
                size = min(largest, size * 4)
        return _cut(rows, self._wanted)

    async def _passing(self, window: Sequence[asyncpg.Record], seconds: float) -> set[uuid.UUID] | None:
        """Which of some conversations have an exchange that passes; None where that takes too long."""
        wanted = self._wanted
        most = MOST_SEARCHED if self._is_searched else 1
        asked = composed(
            self._sql["members"],
            (wanted.low, wanted.high, *_places(window), most),
            wanted.filter.conditions(wanted.project_id),
        )
        rows = await within(self._connection, seconds, *asked)
        if rows is None or not self._is_searched:
            return None if rows is None else {row["conversation_id"] for row in rows}
        keys = await self._searched.passing(self._connection, wanted, [row["id"] for row in rows])
        said = {exchange_id for _, exchange_id in keys}
        return {row["conversation_id"] for row in rows if row["id"] in said}


def _places(rows: Sequence[asyncpg.Record]) -> tuple[list[Any], ...]:
    return tuple([row[name] for row in rows] for name in ("project_id", "id", "last_id"))


def _cut(rows: list[asyncpg.Record], wanted: Wanted) -> _Found:
    return _Found(rows[: wanted.limit], has_more=len(rows) > wanted.limit)


def _conversation(
    row: asyncpg.Record, beginning: asyncpg.Record, sums: asyncpg.Record | None, projects: dict[int, str]
) -> StoredConversation:
    values: dict[str, Any] = {
        name: row[name] for name in ("id", "project_id", "last_id", "exchanges", "name")
    }
    values |= {name: beginning[name] for name in _BEGINNINGS}
    values |= {name: None if sums is None else sums[name] for name in _SUMS}
    return StoredConversation(
        **values, project=projects.get(row["project_id"], ""), user=beginning["end_user"]
    )
