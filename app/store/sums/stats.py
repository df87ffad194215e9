"""Reads sums: from those that were written with each batch where they suffice, else from the exchanges.

Sums are by whole hours or days. What a time has over at its ends, and what sums do not know (`min_…`, tags with many
values), is read from the exchanges, the newest first, for as long as the budget lasts. Where words are asked for, those
that say them are found first. Sums still count what was erased; its tags and users are named by none.
"""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.clock import monotonic_ns
from app.store.database.periods import DAY_MILLISECONDS, lowest_id
from app.store.database.pool import Pool
from app.store.filters.conditions import Condition, composed
from app.store.filters.filter import Filter
from app.store.pages.wanted import Wanted
from app.store.pages.within import LEAST_SECONDS, QUICK_SECONDS, within
from app.store.search.listing import SearchedLists
from app.store.statements import statements
from app.store.sums.groups import TAG, TIMES, Source, Sums, source_of, status_classes
from app.store.sums.histogram import BOUNDS_MICROSECONDS
from app.store.sums.spans import Part, days_at_once, end_of_days, is_whole_days, parts, spans
from app.store.visible import visible_projects

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

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
        self._sql = statements("stats")

    async def read(
        self, wanted: Filter, groups: Sequence[str], limit: int = 1_000, *, with_times: bool = True
    ) -> Stats:
        """At most `limit` groups. Raises TermsError."""
        source = source_of(groups, wanted)
        async with self._pool.transaction(readonly=True) as connection:
            await connection.execute(self._sql["limit_adding"])
            projects = await visible_projects(connection)
            project_ids = [each for each, name in projects.items() if wanted.project in (None, name)]
            if source == "tags" and not await self._has_tags(connection, project_ids, groups, wanted):
                source = "exchanges"
            page = Wanted(wanted, project_ids, *wanted.bounds(None, "desc"), limit)
            run = _Run(connection, page, groups, with_times=with_times and source != "users")
            if project_ids and wanted.can_match():
                if wanted.q is not None:
                    await run.search(self._searched)
                else:
                    await run.run(source)
        shown = _in_order(run.groups, groups)[:limit]
        found = [Group(_values(groups, key, projects), run.sums(key)) for key in shown]
        has_times = with_times and source != "users"
        since = wanted.since if run.is_complete else run.reached
        return Stats(found, len(run.groups) > limit, source, since, run.is_complete, has_times)

    async def _has_tags(
        self, connection: Connection, project_ids: Sequence[int], groups: Sequence[str], wanted: Filter
    ) -> bool:
        """Whether the tag among the groups is summed, for all of the time."""
        (name,) = [each.removeprefix(TAG) for each in groups if each.startswith(TAG)]
        whole = [each for each in parts(wanted.since, wanted.until, "tags") if each.source == "tags"]
        spans = [(each.low.date(), each.high.date()) for each in whole]
        asked = [(project_ids, name, *span) for span in spans]
        return all([await connection.fetchval(self._sql["tags_suffice"], *each) for each in asked])


class _Run:
    """One question."""

    def __init__(
        self, connection: Connection, page: Wanted, groups: Sequence[str], *, with_times: bool
    ) -> None:
        self._connection = connection
        self._page = page
        self._wanted = page.filter
        self._with_times = with_times
        self._names = [("tag" if each.startswith(TAG) else each) for each in groups]
        self._tags = [each.removeprefix(TAG) if each.startswith(TAG) else None for each in groups]
        self._is_by_time = not set(self._names).isdisjoint(TIMES)
        self._sql = statements("stats")
        self._knows_errors = True
        self.groups: dict[Key, list[asyncpg.Record]] = {}
        """Rows of sums; few of the groups that are read are shown."""
        self.is_complete = True
        self.reached: datetime.datetime | None = None

    async def run(self, source: Source) -> None:
        deadline = monotonic_ns() + int(BUDGET_SECONDS * 1e9)
        told = parts(self._wanted.since, self._wanted.until, source)
        if not self._is_by_time:
            # Sums are asked for the largest groups, and for those that exchanges told of.
            told.sort(key=lambda part: part.source != "exchanges")
        for part in told:
            if self._has_first_times(part.low):
                break
            if part.source == "exchanges":
                await self._exchanges(lowest_id(part.low), lowest_id(part.high), source, deadline)
            else:
                await self._whole(part)
        self._knows_errors = source != "users"

    def sums(self, key: Key) -> Sums:
        """What the rows of a group add up to."""
        found = Sums.of(self.groups[key])
        return found if self._knows_errors else dataclasses.replace(found, errors=None)

    async def search(self, searched: SearchedLists) -> None:
        """Sums up what says the words of the filter, as far as the budget reaches."""
        page = dataclasses.replace(self._page, limit=MOST_SAID)
        found = await searched.find(self._connection, page, BUDGET_SECONDS)
        if found.ids:
            said = [Condition("ids", (found.ids,))]
            fixed = self._fixed(min(found.ids), uuid.UUID(int=max(found.ids).int + 1))
            self._add(await self._rows(*composed(self._sql["exchanges"], fixed, said)))
        if found.has_more:
            self._stop(found.resume_after or found.ids[-1])

    def _has_first_times(self, low: datetime.datetime) -> bool:
        """Whether groups come by time, and the first ones are there already, whole: what comes next adds to none."""
        begins_group = "hour" in self._names or is_whole_days(low, low)
        return self._is_by_time and begins_group and len(self.groups) > self._page.limit

    async def _whole(self, part: Part) -> None:
        """What sums tell; a few days at a time where groups come by time, since no more than the first are shown."""
        low, days, read = part.low, 0, 0
        if self._is_by_time:
            first = await self._first_day(part.source)
            low, days = max(low, first or low), 1 if first is not None else 0
        while low < part.high and not self._has_first_times(low):
            high = end_of_days(low, part.high, days) if days else part.high
            self._add(await self._rows(*self._statement_of_sums(Part(low, high, part.source))))
            low, read = high, read + days
            days = days and days_at_once(len(self.groups), read, self._page.limit)

    async def _first_day(self, source: Source) -> datetime.datetime | None:
        """When the sums of a source begin."""
        days = await self._connection.fetchrow(self._sql["first_days"], self._page.project_ids)
        first = days["users" if source == "users" else "others"] if days is not None else None
        return None if first is None else datetime.datetime.combine(first, datetime.time(), datetime.UTC)

    def _statement_of_sums(self, part: Part) -> tuple[Any, ...]:
        """The statement for whole hours or days, with its parameters."""
        wanted, low, high = self._wanted, part.low, part.high
        names = (self._name(0), self._name(1))
        # Whole days of one source, and whole hours, are told by it alone: later parts add nothing to their groups.
        most = self._most(is_whole="hour" in self._names or is_whole_days(low, high))
        days = (low.date(), high.date(), self._page.project_ids)
        if part.source == "users":
            return (self._sql["users"], *days, wanted.model, wanted.user, *names, most)
        if part.source == "tags":
            tag = self._tag(0) or self._tag(1)
            return (self._sql["tags"], *days, tag, *names, self._with_times, most)
        found = status_classes(wanted)
        classes = None if found is None else list(found)
        told = spans(low, high, {*self._names, *wanted.asked()})
        filters = (self._page.project_ids, wanted.model, wanted.key, wanted.outcome, classes)
        known: tuple[Sequence[str | None], Sequence[str | None]] = ((), ())
        if not self._is_by_time:
            most = self._page.limit + 1 + len(self.groups)
            known = ([first for first, _ in self.groups], [second for _, second in self.groups])
        return (self._sql["sums"], told.hours, told.days, *filters, *names, self._with_times, most, *known)

    async def _rows(self, statement: str, *parameters: Any) -> list[asyncpg.Record]:
        rows = await within(self._connection, WHOLE_SECONDS, statement, *parameters)
        if rows is None:
            self.is_complete = False
        return rows or []

    async def _exchanges(self, low: uuid.UUID, high: uuid.UUID, source: Source, deadline: int) -> None:
        """The exchanges from id to before id, the newest first, a day and then more at a time."""
        extra = (Condition("has_user", ()),) if source == "users" else ()
        is_whole = source != "hourly" or "hour" in self._names
        ends = await self._connection.fetchrow(self._sql["ends"])
        if ends is None or ends["first_id"] is None:
            return
        low = max(low, ends["first_id"])
        end = high = min(high, uuid.UUID(int=ends["last_id"].int + 1))
        window = FIRST_WINDOW_MILLISECONDS
        while low < high:
            begun = monotonic_ns()
            begin = max(low, uuid.UUID(int=max((high.int >> 80) - window, 0) << 80))
            left = max((deadline - begun) / 1e9, LEAST_SECONDS)
            most = self._most(is_whole=is_whole and (begin, high) == (low, end))
            rows = await within(self._connection, left, *self._statement(begin, high, extra, most))
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

    def _statement(
        self, low: uuid.UUID, high: uuid.UUID, extra: tuple[Condition, ...], most: int | None
    ) -> list[Any]:
        project_id = self._page.project_ids[0] if len(self._page.project_ids) == 1 else None
        conditions = [*self._wanted.conditions(project_id), *extra]
        return composed(self._sql["exchanges"], self._fixed(low, high, most), conditions)

    def _fixed(self, low: uuid.UUID, high: uuid.UUID, most: int | None = None) -> tuple[Any, ...]:
        names = (self._name(0), self._name(1), self._tag(0), self._tag(1))
        return (low, high, *names, list(BOUNDS_MICROSECONDS), self._with_times, most)

    def _most(self, *, is_whole: bool) -> int | None:
        """How many groups are wanted of what is told whole by one statement, in the order of time; None is all."""
        return self._page.limit + 1 if self._is_by_time and is_whole else None

    def _stop(self, high: uuid.UUID) -> None:
        self.is_complete = False
        self.reached = datetime.datetime.fromtimestamp((high.int >> 80) / 1000, datetime.UTC)

    def _add(self, rows: Sequence[asyncpg.Record]) -> None:
        for row in rows:
            self.groups.setdefault((row["first"], row["second"]), []).append(row)

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


def _in_order(found: Mapping[Key, Sequence[asyncpg.Record]], groups: Sequence[str]) -> list[Key]:
    """By time, then the largest first, and those of one size by name."""
    sizes = {key: sum([row["exchanges"] for row in rows]) for key, rows in found.items()}
    keys = sorted(found, key=lambda key: (-sizes[key], key[0] or "", key[1] or ""))
    for place in reversed([place for place, name in enumerate(groups) if name in TIMES]):
        keys.sort(key=lambda key: int(key[place] or 0))
    return keys
