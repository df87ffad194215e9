"""Reads sums: from those that were written with each batch where they suffice, else from the exchanges.

Sums are by whole hours or days. What a time has over at its ends, and what sums do not know (tags, `min_…`), is read
from the exchanges, the newest first, for as long as the budget lasts. Where words are asked for, those that
say them are found first.
"""

from __future__ import annotations

import datetime
import operator
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.clock import monotonic_ns
from app.store.filter import Filter
from app.store.filters.conditions import Condition, composed
from app.store.histogram import BOUNDS_MICROSECONDS
from app.store.pages.wanted import Wanted
from app.store.pages.within import LEAST_SECONDS, QUICK_SECONDS, within
from app.store.periods import DAY_MILLISECONDS, lowest_id
from app.store.pool import Pool
from app.store.search.listing import SearchedLists
from app.store.statements import statements
from app.store.sums import TAG, TIMES, Row, Source, Spans, Sums, source_of, spans, status_classes
from app.store.visible import visible_projects

if TYPE_CHECKING:
    import asyncpg

    from app.store.pool import Connection

BUDGET_SECONDS = 2.0
WHOLE_SECONDS = 10.0
"""Sums that were written with batches may take longer than the exchanges."""
MOST_SAID = 20_000
"""Exchanges that say some words are summed up, at most."""
FIRST_WINDOW_MILLISECONDS = DAY_MILLISECONDS

Key = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Group:
    """One group: its values by name (None where unknown), and its sums."""

    values: Mapping[str, str | datetime.datetime | None]
    sums: Sums

    def time_of(self, name: str) -> str:
        """For sorting by a group that is a time."""
        return str(self.values[name])


@dataclass(frozen=True, slots=True)
class Stats:
    """Groups in order: by time where that is a group, else the largest first."""

    groups: list[Group]
    has_more: bool
    source: Source
    since: datetime.datetime | None
    """What was read begins here; later than asked for where it is not complete."""
    is_complete: bool
    has_times: bool


class StatsReader:
    """Reads the sums of one database."""

    def __init__(self, pool: Pool, searched: SearchedLists) -> None:
        self._pool = pool
        self._searched = searched

    async def read(
        self, wanted: Filter, groups: Sequence[str], limit: int = 1_000, *, with_times: bool = True
    ) -> Stats:
        """At most `limit` groups. Raises TermsError."""
        source = source_of(groups, wanted)
        async with self._pool.transaction(readonly=True) as connection:
            projects = await visible_projects(connection)
            project_ids = [each for each, name in projects.items() if wanted.project in (None, name)]
            run = _Run(connection, wanted, list(groups), project_ids)
            if project_ids and wanted.can_match():
                if wanted.q is not None:
                    await run.search(self._searched)
                else:
                    await run.run(source, with_times=with_times)
        found = [Group(_values(groups, key, projects), sums) for key, sums in run.groups.items()]
        _sort(found, groups)
        has_times = with_times and source != "users"
        since = wanted.since if run.is_complete else run.reached
        return Stats(found[:limit], len(found) > limit, source, since, run.is_complete, has_times)


class _Run:
    """One question."""

    def __init__(
        self, connection: Connection, wanted: Filter, groups: list[str], project_ids: list[int]
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._names = [("tag" if each.startswith(TAG) else each) for each in groups]
        self._tags = [each.removeprefix(TAG) if each.startswith(TAG) else None for each in groups]
        self._project_ids = project_ids
        self._sql = statements("stats")
        self.groups: dict[Key, Sums] = {}
        self.is_complete = True
        self.reached: datetime.datetime | None = None

    async def run(self, source: Source, *, with_times: bool) -> None:
        deadline = monotonic_ns() + int(BUDGET_SECONDS * 1e9)
        if source == "exchanges":
            low, high = self._wanted.bounds(None, "desc")
            await self._exchanges(low, high, (), deadline)
            return
        cut: Spans = spans(self._wanted.since, self._wanted.until, source)
        if cut.whole is not None:
            await self._whole(source, cut.whole, with_times=with_times)
        extra = (Condition("has_user", ()),) if source == "users" else ()
        for low_time, high_time in cut.rest:
            await self._exchanges(lowest_id(low_time), lowest_id(high_time), extra, deadline)
        if source == "users":
            for sums in self.groups.values():
                sums.errors = None

    async def search(self, searched: SearchedLists) -> None:
        """Sums up what says the words of the filter, as far as the budget reaches."""
        low, high = self._wanted.bounds(None, "desc")
        page = Wanted(self._wanted, self._project_ids, low, high, MOST_SAID)
        found = await searched.find(self._connection, page, BUDGET_SECONDS)
        if found.ids:
            said = [Condition("ids", (found.ids,))]
            fixed = self._fixed(min(found.ids), uuid.UUID(int=max(found.ids).int + 1))
            self._add(await self._rows(*composed(self._sql["exchanges"], fixed, said)))
        if found.has_more:
            self._stop(found.resume_after or found.ids[-1])

    async def _whole(
        self, source: Source, span: tuple[datetime.datetime, datetime.datetime], *, with_times: bool
    ) -> None:
        wanted = self._wanted
        names = (self._name(0), self._name(1))
        parameters: tuple[Any, ...]
        if source == "users":
            days = (span[0].date(), span[1].date())
            parameters = (*days, self._project_ids, wanted.model, wanted.user, *names)
        else:
            classes = status_classes(wanted)
            parameters = (
                *(*span, self._project_ids, wanted.model, wanted.key, wanted.outcome),
                *(None if classes is None else list(classes), *names),
            )
        rows = await self._rows(self._sql[source], *parameters)
        for row in rows:
            self._sums(row).add(row)
        if with_times and source == "hourly":
            for row in await self._rows(self._sql["hourly_times"], *parameters):
                self._sums(row).add_times(row["bucket"], row["durations"], row["ttfts"])

    async def _rows(self, statement: str, *parameters: Any) -> list[asyncpg.Record]:
        rows = await within(self._connection, WHOLE_SECONDS, statement, *parameters)
        if rows is None:
            self.is_complete = False
        return rows or []

    async def _exchanges(
        self, low: uuid.UUID, high: uuid.UUID, extra: tuple[Condition, ...], deadline: int
    ) -> None:
        """The exchanges from id to before id, the newest first, a day and then more at a time."""
        ends = await self._connection.fetchrow(self._sql["ends"])
        if ends is None or ends["first_id"] is None:
            return
        low = max(low, ends["first_id"])
        high = min(high, uuid.UUID(int=ends["last_id"].int + 1))
        window = FIRST_WINDOW_MILLISECONDS
        while low < high:
            begun = monotonic_ns()
            begin = max(low, uuid.UUID(int=max((high.int >> 80) - window, 0) << 80))
            left = max((deadline - begun) / 1e9, LEAST_SECONDS)
            rows = await within(self._connection, left, *self._statement(begin, high, extra))
            if rows is None:
                self._stop(high)
                return
            self._add(rows)
            high = begin
            if monotonic_ns() > deadline and low < high:
                self._stop(high)
                return
            if monotonic_ns() - begun < QUICK_SECONDS * 1e9:
                window *= 4

    def _statement(self, low: uuid.UUID, high: uuid.UUID, extra: tuple[Condition, ...]) -> list[Any]:
        project_id = self._project_ids[0] if len(self._project_ids) == 1 else None
        conditions = [*self._wanted.conditions(project_id), *extra]
        return composed(self._sql["exchanges"], self._fixed(low, high), conditions)

    def _fixed(self, low: uuid.UUID, high: uuid.UUID) -> tuple[Any, ...]:
        names = (self._name(0), self._name(1), self._tag(0), self._tag(1))
        return (low, high, *names, list(BOUNDS_MICROSECONDS))

    def _stop(self, high: uuid.UUID) -> None:
        self.is_complete = False
        self.reached = datetime.datetime.fromtimestamp((high.int >> 80) / 1000, datetime.UTC)

    def _add(self, rows: Sequence[asyncpg.Record]) -> None:
        for row in rows:
            sums = self._sums(row)
            if row["is_duration"]:
                sums.add_times(row["duration_bucket"], row["exchanges"], 0)
            elif row["is_ttft"]:
                if row["ttft_bucket"] is not None:
                    sums.add_times(row["ttft_bucket"], 0, row["exchanges"])
            else:
                sums.add(row)

    def _sums(self, row: Row) -> Sums:
        return self.groups.setdefault((row["first"], row["second"]), Sums())

    def _name(self, number: int) -> str | None:
        return self._names[number] if number < len(self._names) else None

    def _tag(self, number: int) -> str | None:
        return self._tags[number] if number < len(self._tags) else None


def _values(
    groups: Sequence[str], key: Key, projects: Mapping[int, str]
) -> dict[str, str | datetime.datetime | None]:
    return {name: _value(name, text or "", projects) for name, text in zip(groups, key, strict=False)}


def _value(name: str, text: str, projects: Mapping[int, str]) -> str | datetime.datetime | None:
    if name in TIMES:
        return datetime.datetime.fromtimestamp(int(text), datetime.UTC)
    if name == "project":
        return projects.get(int(text), "")
    if name == "status":
        return None if text == "0" else f"{text}xx"
    if name == "status_code" and text == "0":
        return None
    return text or None


def _sort(found: list[Group], groups: Sequence[str]) -> None:
    """By time, then the largest first."""
    found.sort(key=lambda each: each.sums.counts["exchanges"], reverse=True)
    for name in reversed([each for each in groups if each in TIMES]):
        found.sort(key=operator.methodcaller("time_of", name))
