"""How much room the record takes, by week and kind, how fast it grows, and when a limit is reached."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from app.store.database.partitions import TABLES, Partition, Partitions
from app.store.database.pool import Pool
from app.store.statements import statements

Kind = Literal["metadata", "content", "search", "sums"]
KINDS: tuple[Kind, ...] = ("metadata", "content", "search", "sums")

GROWTH_DAYS = 14
LEAST_DAYS = 1.0
"""A record that is younger is taken for this old: an hour tells nothing of a day."""
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PeriodSize:
    """A week of content or a month of metadata; bytes on disk with indexes."""

    first_day: datetime.date
    end_day: datetime.date
    bytes_by_kind: dict[Kind, int]
    estimated_exchanges: int


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes on disk with indexes."""

    bytes_by_kind: dict[Kind, int]
    weeks: list[PeriodSize]
    months: list[PeriodSize]
    growth_bytes_a_day: int
    limit_bytes: int | None
    limit_reached_at: datetime.datetime | None
    """When the limit is reached at this growth, which is never in the past; None without a limit or growth."""

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return sum(self.bytes_by_kind.values())


class StorageReader:
    """Sizes of one database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._partitions = Partitions(pool)

    async def read(self, now: datetime.datetime, limit_bytes: int | None = None) -> Storage:
        """How large everything is now."""
        partitions = await self._partitions.listing()
        sql = statements("storage")
        async with self._pool.transaction(readonly=True) as connection:
            rest: int = await connection.fetchval(sql["rest"], list(TABLES))
            first: datetime.datetime | None = await connection.fetchval(sql["first"])
        return storage_of(partitions, rest, first, now, limit_bytes)


def storage_of(
    partitions: list[Partition],
    rest_bytes: int,
    first: datetime.datetime | None,
    now: datetime.datetime,
    limit_bytes: int | None,
) -> Storage:
    """Adds up partitions, and tables that have none; `first` is when the first exchange began."""
    kinds: dict[Kind, int] = dict.fromkeys(KINDS, 0)
    kinds["sums"] = rest_bytes
    for each in partitions:
        kinds[kind_of(each.table)] += each.size_bytes
    growth = _growth(partitions, first, now)
    reached = None
    if limit_bytes is not None and growth > 0:
        left = max(limit_bytes - sum(kinds.values()), 0) / growth
        reached = now + left * _DAY if left < 36_500 else None
    weeks = _periods(each for each in partitions if each.period.unit == "week")
    months = _periods(each for each in partitions if each.period.unit == "month")
    return Storage(kinds, weeks, months, growth, limit_bytes, reached)


def kind_of(table: str) -> Kind:
    """What a partitioned table holds."""
    if table.startswith("search_"):
        return "search"
    return "metadata" if table == "exchanges" else "content"


def _periods(partitions: Iterable[Partition]) -> list[PeriodSize]:
    """By time, the newest first."""
    found: dict[datetime.date, PeriodSize] = {}
    for each in partitions:
        first_day, end_day = each.period.first_day, each.period.end_day
        size = found.setdefault(first_day, PeriodSize(first_day, end_day, {}, 0))
        kind = kind_of(each.table)
        size.bytes_by_kind[kind] = size.bytes_by_kind.get(kind, 0) + each.size_bytes
        if each.table in ("exchanges", "transcripts"):
            found[first_day] = PeriodSize(
                first_day, end_day, size.bytes_by_kind, size.estimated_exchanges + each.estimated_rows
            )
    return [found[day] for day in sorted(found, reverse=True)]


def _growth(partitions: list[Partition], first: datetime.datetime | None, now: datetime.datetime) -> int:
    """Bytes a day over the last weeks and months; empty partitions that were made ahead count for nothing."""
    if first is None:
        return 0
    since = now - GROWTH_DAYS * _DAY
    bytes_of: dict[str, int] = {}
    begun: dict[str, datetime.datetime] = {}
    for each in partitions:
        begin = datetime.datetime.combine(each.period.first_day, datetime.time(), datetime.UTC)
        end = datetime.datetime.combine(each.period.end_day, datetime.time(), datetime.UTC)
        if begin > now or end <= since or end <= first:
            continue
        unit = each.period.unit
        bytes_of[unit] = bytes_of.get(unit, 0) + each.size_bytes
        start = max(begin, first)
        begun[unit] = min(begun.get(unit, start), start)
    days = {unit: max((now - begin) / _DAY, LEAST_DAYS) for unit, begin in begun.items()}
    return round(sum(size / days[unit] for unit, size in bytes_of.items()))
