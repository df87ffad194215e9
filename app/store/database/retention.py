"""How long things are kept: whole weeks of content and whole months of metadata go when their last day is too old, and
the oldest weeks of content when all together is too large."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from app.store.database.partitions import CONTENT_TABLES, Partition, Partitions


@dataclass(frozen=True, slots=True)
class Horizon:
    """Days of content and of metadata to keep; None keeps for ever. Content never outlives its metadata."""

    keep_content_days: int | None = None
    keep_metadata_days: int | None = None
    max_bytes: int | None = None
    """How large everything may be; the oldest weeks of content go first."""

    def oldest_content(self, now: datetime.datetime) -> datetime.datetime | None:
        """What was said before is no longer kept."""
        days = [each for each in (self.keep_content_days, self.keep_metadata_days) if each is not None]
        return now - datetime.timedelta(days=min(days)) if days else None

    def oldest_metadata(self, now: datetime.datetime) -> datetime.datetime | None:
        """Exchanges that began before are no longer kept."""
        days = self.keep_metadata_days
        return now - datetime.timedelta(days=days) if days is not None else None

    def is_past(self, partition: Partition, now: datetime.datetime) -> bool:
        """Whether all of a partition is older than what is kept."""
        content = partition.table in CONTENT_TABLES
        oldest = self.oldest_content(now) if content else self.oldest_metadata(now)
        return oldest is not None and partition.period.end_day <= oldest.date()


class Retention:
    """Drops what is older than the horizon, and what an earlier drop left half done."""

    def __init__(self, partitions: Partitions, horizon: Horizon) -> None:
        self._partitions = partitions
        self._horizon = horizon

    async def run(self, now: datetime.datetime) -> list[str]:
        """Drops, content first, and gives what went; raises StoreUnavailableError where a reader is in the way."""
        partitions = sorted(
            await self._partitions.listing(), key=lambda each: each.table not in CONTENT_TABLES
        )
        gone = []
        for each in partitions:
            if self._horizon.is_past(each, now) or not each.attached:
                await self._partitions.drop(each)
                gone.append(each.name)
        return gone + await self._shrink(now)

    async def _shrink(self, now: datetime.datetime) -> list[str]:
        """Drops the oldest weeks of content, but for the current one, until everything is small enough."""
        if self._horizon.max_bytes is None:
            return []
        partitions = await self._partitions.listing()
        over = await self._partitions.total_bytes() - self._horizon.max_bytes
        gone = []
        for week in oldest_content(partitions, now):
            if over <= 0:
                break
            for each in week:
                await self._partitions.drop(each)
                over -= each.size_bytes
                gone.append(each.name)
        return gone


def oldest_content(partitions: Sequence[Partition], now: datetime.datetime) -> list[list[Partition]]:
    """Past weeks of content, the oldest first."""
    weeks: dict[datetime.date, list[Partition]] = {}
    for each in partitions:
        if each.table in CONTENT_TABLES and each.period.end_day <= now.date():
            weeks.setdefault(each.period.first_day, []).append(each)
    return [weeks[day] for day in sorted(weeks)]
