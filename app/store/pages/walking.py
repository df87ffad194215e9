"""Rows of a page, in the order that is asked for, within a time budget.

A filter that an index serves is answered at once. One that none serves is tried as it is for a while, since the
planner may know better; then the order is walked in windows of so many exchanges, which are small at first, and what
the budget did not reach is left to the next page.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from app.clock import monotonic_ns
from app.store.filters.conditions import composed
from app.store.pages.matching import Key, few_by_facts_or_tags
from app.store.pages.wanted import COLUMNS, NOWHERE, Place, Rows, Wanted
from app.store.pages.within import LEAST_SECONDS, QUICK_SECONDS, within
from app.store.statements import statements

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

BUDGET_SECONDS = 2.0
DIRECT_SECONDS = 0.7
"""So long a page is tried by the planner's own way."""
COUNT_SECONDS = 1.0
FIRST_WINDOW, LARGEST_WINDOW = 5_000, 250_000
COUNTED_MOST = 10_000

_STATEMENTS = {"duration_ms": "duration", "total_tokens": "tokens", "cost": "cost"}


async def find_rows(connection: Connection, wanted: Wanted, budget_seconds: float = BUDGET_SECONDS) -> Rows:
    """At most `limit` rows; in a reading transaction."""
    deadline = monotonic_ns() + int(budget_seconds * 1e9)
    walk = _Walk(connection, wanted)
    if wanted.filter.is_simple() and wanted.sort == "started_at":
        return _cut(await walk.all(), wanted)
    if wanted.sort == "started_at" and (few := await few_by_facts_or_tags(connection, wanted)) is not None:
        return _cut(await _of_few(connection, wanted, few), wanted)
    rows = await within(connection, min(DIRECT_SECONDS, budget_seconds / 2), *walk.statement(NOWHERE))
    if rows is not None:
        return _cut(rows, wanted)
    return await walk.by_windows(deadline)


async def count_rows(connection: Connection, wanted: Wanted) -> int | None:
    """How many exchanges are wanted, at most COUNTED_MOST + 1; None where counting takes too long."""
    fixed = (wanted.low, wanted.high, COUNTED_MOST + 1)
    conditions = wanted.filter.conditions(wanted.project_id)
    asked = composed(statements("lists")["count"], fixed, conditions)
    rows = await within(connection, COUNT_SECONDS, *asked)
    return None if rows is None else int(rows[0]["count"])


async def _of_few(connection: Connection, wanted: Wanted, few: list[Key]) -> list[asyncpg.Record]:
    """The rows of the first of a few exchanges."""
    is_down = wanted.order == "desc"
    ids = sorted((each for _, each in few), reverse=is_down)[: wanted.limit + 1]
    rows = await connection.fetch(statements("lists")["exchanges"], ids, min(ids), max(ids)) if ids else []
    return sorted(rows, key=lambda row: row["id"].bytes, reverse=is_down)


class _Walk:
    """One page on its way."""

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        self._connection = connection
        self._wanted = wanted
        self._sql = statements("lists")
        self._low, self._high = wanted.low, wanted.high
        self._after = wanted.after
        self._is_sorted = wanted.sort != "started_at"
        # Who sorts by a value has the project in the statement itself.
        self._conditions = wanted.filter.conditions(None if self._is_sorted else wanted.project_id)

    def statement(self, end: Place, limit: int | None = None) -> list[Any]:
        """The rows from where the walk is to an end (that is included where it is a place), and all parameters."""
        most = self._wanted.limit + 1 if limit is None else limit
        if self._is_sorted:
            fixed = (self._low, self._high, most, 0, *self._places(end))
            return composed(self._sql[self._name()], fixed, self._conditions)
        low, high = self._low, self._high
        if end[1] is not None:
            low, high = (end[1], high) if self._wanted.order == "desc" else (low, end[1])
        return composed(self._sql[self._name()], (low, high, most), self._conditions)

    async def all(self) -> list[asyncpg.Record]:
        """The rows without a limit of time but the transaction's."""
        statement, *parameters = self.statement(NOWHERE)
        return await self._connection.fetch(statement, *parameters)

    async def by_windows(self, deadline: int) -> Rows:
        """Window by window; one at least, so that each page comes further."""
        rows: list[asyncpg.Record] = []
        window, has_moved = FIRST_WINDOW, False
        while len(rows) <= self._wanted.limit:
            begun = monotonic_ns()
            if has_moved and begun > deadline:
                return self._unfinished(rows)
            left = max((deadline - begun) / 1e9, LEAST_SECONDS)
            edge = await self._edge(window, left)
            if edge is None:
                return self._unfinished(rows)
            most = self._wanted.limit + 1 - len(rows)
            found = await within(self._connection, left, *self.statement(edge, most))
            if found is None:
                if window == FIRST_WINDOW or monotonic_ns() > deadline:
                    return self._unfinished(rows)
                window = FIRST_WINDOW
                continue
            rows += found
            if edge == NOWHERE:
                return _cut(rows, self._wanted)
            if len(found) < most:
                self._go_on(edge)
                has_moved = True
            if monotonic_ns() - begun < QUICK_SECONDS * 1e9:
                window = min(LARGEST_WINDOW, window * 4)
        return _cut(rows, self._wanted)

    async def _edge(self, window: int, seconds: float) -> Place | None:
        """The end of a window; NOWHERE where that is the end of all, None where looking takes too long."""
        if self._is_sorted:
            fixed = (self._low, self._high, 1, window - 1, *self._places(NOWHERE))
            statement = composed(self._sql[self._name()], fixed, ())
        else:
            statement = [self._sql[f"edge_{self._direction()}"], self._low, self._high, window]
        rows = await within(self._connection, seconds, *statement)
        if rows is None:
            return None
        if not rows:
            return NOWHERE
        value = rows[0][COLUMNS[self._wanted.sort]] if self._is_sorted else None
        return value, rows[0]["id"]

    def _go_on(self, edge: Place) -> None:
        if self._is_sorted:
            self._after = edge
        elif edge[1] is not None and self._wanted.order == "desc":
            self._high = edge[1]
        elif edge[1] is not None:
            self._low = edge[1]

    def _unfinished(self, rows: list[asyncpg.Record]) -> Rows:
        """What was found; the next page goes on where the walk is, which is behind the last row."""
        if self._is_sorted:
            return Rows(rows, has_more=True, resume_after=self._after[1])
        if self._wanted.order == "desc":
            return Rows(rows, has_more=True, resume_after=self._high)
        return Rows(rows, has_more=True, resume_after=uuid.UUID(int=max(self._low.int - 1, 0)))

    def _places(self, end: Place) -> tuple[Any, ...]:
        return (list(self._wanted.project_ids), *self._after, *end)

    def _name(self) -> str:
        if self._is_sorted:
            way = "most" if self._wanted.order == "desc" else "least"
            return f"{_STATEMENTS[self._wanted.sort]}_{way}"
        return f"list_{self._direction()}"

    def _direction(self) -> str:
        return "newest" if self._wanted.order == "desc" else "oldest"


def _cut(rows: list[asyncpg.Record], wanted: Wanted) -> Rows:
    return Rows(rows[: wanted.limit], has_more=len(rows) > wanted.limit)
