"""Sums of exchanges by groups, and which of the store's tables can tell them; pure."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.store.filters.errors import FilterError
from app.store.filters.filter import Filter
from app.store.sums.histogram import BUCKETS, quantiles_us, unpacked

GROUPS = (
    *("hour", "day", "model", "user", "key", "project"),
    *("status", "status_code", "outcome", "endpoint"),
)
TAG = "tag."
TIMES = ("hour", "day")
MOST_GROUPS = 2
SHARES = (0.5, 0.9, 0.95, 0.99)
COUNTS = (
    *("exchanges", "request_bytes", "response_bytes"),
    *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "unpriced"),
)

Source = Literal["hourly", "users", "tags", "exchanges"]
"""What is told of: `hourly` are sums of hours, and of days where these suffice."""
Table = Literal["routes", "hourly", "daily", "users", "tags", "exchanges"]
"""`routes` are sums of hours without model and key, a fiftieth of the rows."""

_HOURLY_GROUPS = frozenset({"hour", "day", "model", "key", "project", "status", "outcome", "endpoint"})
_HOURLY_FILTERS = frozenset({"project", "model", "key", "outcome", "status", "since", "until"})
_ROUTE_GROUPS = _HOURLY_GROUPS - {"model", "key"}
_ROUTE_FILTERS = _HOURLY_FILTERS - {"model", "key"}
_TAG_GROUPS = frozenset({"day", "project"})
_TAG_FILTERS = frozenset({"project", "since", "until"})
_USER_GROUPS = frozenset({"day", "user", "model", "project"})
_USER_FILTERS = frozenset({"project", "model", "user", "since", "until"})
_LARGEST_YEAR = 9_998


class Row(Protocol):
    """A row of sums."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(slots=True)
class Sums:
    """What a group adds up to; bytes, tokens, US dollars."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    errors: int | None = 0
    """Answers of 400 and above, and exchanges that ended otherwise than completed or left; None is unknown."""
    cost: decimal.Decimal = decimal.Decimal(0)
    durations: dict[int, int] = field(default_factory=dict)
    """Exchanges by bucket; empty where no times are asked for."""
    ttfts: dict[int, int] = field(default_factory=dict)
    histograms: list[tuple[bytes | None, bytes | None]] = field(default_factory=list)
    """The same as they are kept: few of the groups that are read are shown."""

    def add(self, row: Row) -> None:
        """Adds a row of sums."""
        for name in COUNTS:
            self.counts[name] += row[name]
        known = self.errors is not None and row["errors"] is not None
        self.errors = (self.errors or 0) + row["errors"] if known else None
        self.cost += row["cost"]
        self.histograms.append((row["durations"], row["ttfts"]))

    def add_times(self, bucket: int, durations: int, ttfts: int) -> None:
        """Adds how many exchanges took so long, and how many began to answer so late."""
        place = min(bucket, BUCKETS - 1)
        self.durations[place] = self.durations.get(place, 0) + durations
        self.ttfts[place] = self.ttfts.get(place, 0) + ttfts

    def quantiles(self) -> tuple[list[float | None], list[float | None]]:
        """Durations and times to the first byte at SHARES, in microseconds."""
        for durations, ttfts in self.histograms:
            for place, count in unpacked(durations).items() if durations else ():
                self.add_times(place, count, 0)
            for place, count in unpacked(ttfts).items() if ttfts else ():
                self.add_times(place, 0, count)
        self.histograms.clear()
        return quantiles_us(self.durations, SHARES), quantiles_us(self.ttfts, SHARES)


def read_groups(text: str) -> list[str]:
    """The groups of `group_by`: none, one or two. Raises FilterError."""
    groups: list[str] = []
    position = 0
    for name in text.split(",") if text else []:
        if name not in GROUPS and not (name.startswith(TAG) and len(name) > len(TAG)):
            expected = f"expected one of {', '.join(GROUPS)}, tag.NAME"
            raise FilterError("group_by", expected, text, position)
        if name in groups or len(groups) == MOST_GROUPS:
            raise FilterError("group_by", "takes one or two different groups", text, position)
        groups.append(name)
        position += len(name) + 1
    return groups


def source_of(groups: Sequence[str], wanted: Filter) -> Source:
    """The smallest table that knows enough."""
    asked = wanted.asked()
    if _HOURLY_GROUPS.issuperset(groups) and asked <= _HOURLY_FILTERS and status_classes(wanted) != ():
        return "hourly"
    if ("user" in groups or "user" in asked) and _USER_GROUPS.issuperset(groups) and asked <= _USER_FILTERS:
        return "users"
    tags = [each for each in groups if each.startswith(TAG)]
    if len(tags) == 1 and _TAG_GROUPS.issuperset(set(groups) - {*tags}) and asked <= _TAG_FILTERS:
        return "tags"
    return "exchanges"


def table_of(source: Source, groups: Sequence[str], wanted: Filter) -> Table:
    """Which table of a source has the fewest rows."""
    if source != "hourly":
        return source
    if _ROUTE_GROUPS.issuperset(groups) and wanted.asked() <= _ROUTE_FILTERS:
        return "routes"
    return "hourly" if "hour" in groups else "daily"


def status_classes(wanted: Filter) -> tuple[int, ...] | None:
    """The classes of which whole ones are wanted (4 for 4xx); None for all, () where parts of some are."""
    if wanted.status is None:
        return None
    statuses = set(wanted.statuses())
    classes = sorted({each // 100 for each in statuses})
    whole = {each for number in classes for each in range(number * 100, number * 100 + 100)}
    return tuple(classes) if whole == statuses else ()


@dataclass(frozen=True, slots=True)
class Part:
    """A time, from and before, that one table tells."""

    low: datetime.datetime
    high: datetime.datetime
    table: Table


def parts(low: datetime.datetime | None, high: datetime.datetime | None, table: Table) -> list[Part]:
    """A time (None is without end), cut where the sums of a table begin and end; in order.

    What days have over at their ends is told by hours, and what hours have over by exchanges.
    """
    low, high = max(low or _EARLIEST, _EARLIEST), min(high or _LATEST, _LATEST)
    if low >= high:
        return []
    if table == "exchanges":
        return [Part(low, high, table)]
    step = datetime.timedelta(hours=1) if table in ("hourly", "routes") else datetime.timedelta(days=1)
    first, last = _rounded(low, step, up=True), _rounded(high, step, up=False)
    finer: Table = "hourly" if table == "daily" else "exchanges"
    if first >= last:
        return parts(low, high, finer)
    return [*parts(low, first, finer), Part(first, last, table), *parts(last, high, finer)]


def days_at_once(groups: int, days: int, limit: int) -> int:
    """How many days more to read where groups come by time and so many were found in so many days.

    As many as will fill the limit, if the rest is like what was read; at most twice as many as were read.
    """
    enough = -(-(limit + 1 - groups) * days // groups) if groups else 2 * days
    return max(1, min(enough, 2 * days))


def end_of_days(low: datetime.datetime, high: datetime.datetime, days: int) -> datetime.datetime:
    """The end of so many days, of which the first is the one that `low` is in; at most `high`."""
    if days >= (high - low).days:
        return high
    return _rounded(low, datetime.timedelta(days=1), up=False) + datetime.timedelta(days=days)


_EARLIEST = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LATEST = datetime.datetime(_LARGEST_YEAR, 1, 1, tzinfo=datetime.UTC)


def _rounded(moment: datetime.datetime, step: datetime.timedelta, *, up: bool) -> datetime.datetime:
    over = (moment - _EARLIEST) % step
    if not over:
        return moment
    return moment - over + (step if up else datetime.timedelta(0))
