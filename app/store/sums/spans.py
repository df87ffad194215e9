"""Times that sums tell, by hours, days and weeks, and what is left to the exchanges; pure."""

from __future__ import annotations

import datetime
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from app.store.database.periods import week_of_day
from app.store.sums.groups import Source

HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
_WEEKLY = frozenset({"project", "model", "key", "since", "until"})
"""Groups and filters that sums of weeks know."""
_LARGEST_YEAR = 9_998
_EARLIEST = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LATEST = datetime.datetime(_LARGEST_YEAR, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """A time, from and before, that one source tells."""

    low: datetime.datetime
    high: datetime.datetime
    source: Source


def parts(low: datetime.datetime | None, high: datetime.datetime | None, source: Source) -> list[Part]:
    """A time (None is without end), cut where the sums of a source begin and end, by hours or by days; in order.

    What they have over at the ends is told by exchanges.
    """
    low, high = max(low or _EARLIEST, _EARLIEST), min(high or _LATEST, _LATEST)
    if low >= high:
        return []
    step = HOUR if source == "hourly" else DAY
    first, last = _rounded(low, step, up=True), _rounded(high, step, up=False)
    if source == "exchanges" or first >= last:
        return [Part(low, high, "exchanges")]
    cut = [Part(low, first, "exchanges"), Part(first, last, source), Part(last, high, "exchanges")]
    return [each for each in cut if each.low < each.high]


@dataclass(frozen=True, slots=True)
class Spans:
    """Times, from and before, that each table of sums tells: those with the fewest rows that know enough."""

    hours: tuple[datetime.datetime, ...]
    """From and before: of hours at the beginning, of hours at the end, of hours without model and key."""
    days: tuple[datetime.date, ...]
    """From and before: of days at the beginning, of days at the end, of weeks, of days without key."""


def spans(low: datetime.datetime, high: datetime.datetime, asked: AbstractSet[str]) -> Spans:
    """What tells whole hours; `asked` are names of groups and filters."""
    first, last = _rounded(low, DAY, up=True), _rounded(high, DAY, up=False)
    nothing = (high.date(), high.date())
    if asked.isdisjoint({"model", "key"}):
        return Spans((high, high, high, high, low, high), nothing * 4)
    if "hour" in asked or first >= last:
        return Spans((low, high, high, high, high, high), nothing * 4)
    hours = (low, first, last, high, high, high)
    begin, end = first.date(), last.date()
    if "key" not in asked:
        return Spans(hours, (*nothing * 3, begin, end))
    monday, after = week_of_day(begin + 6 * DAY), week_of_day(end)
    if monday >= after or not asked <= _WEEKLY:
        return Spans(hours, (begin, end, *nothing * 3))
    return Spans(hours, (begin, monday, after, end, monday, after, *nothing))


def is_whole_days(low: datetime.datetime, high: datetime.datetime) -> bool:
    """Whether a time begins and ends at midnight."""
    return _rounded(low, DAY, up=True) == low and _rounded(high, DAY, up=True) == high


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
    return _rounded(low, DAY, up=False) + days * DAY


def _rounded(moment: datetime.datetime, step: datetime.timedelta, *, up: bool) -> datetime.datetime:
    over = (moment - _EARLIEST) % step
    if not over:
        return moment
    return moment - over + (step if up else datetime.timedelta(0))
