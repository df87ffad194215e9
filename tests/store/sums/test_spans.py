"""Which sums tell which times."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from app.store.sums.groups import Source
from app.store.sums.spans import days_at_once, end_of_days, parts, spans


def at(hour: int, minute: int = 0) -> datetime.datetime:
    """Of Wednesday, 18 November 2026."""
    return datetime.datetime(2026, 11, 18, tzinfo=datetime.UTC) + datetime.timedelta(
        hours=hour, minutes=minute
    )


def day(number: int) -> datetime.date:
    """Of November 2026; the 16th and the 23rd are Mondays."""
    return datetime.date(2026, 11, number)


def test_a_time_is_cut_where_hours_or_days_begin() -> None:
    def cut(low: datetime.datetime, high: datetime.datetime, source: Source) -> list[tuple[Any, ...]]:
        return [(each.low, each.high, each.source) for each in parts(low, high, source)]

    minutes = [(at(3, 10), at(4), "exchanges"), (at(4), at(6), "hourly"), (at(6), at(6, 5), "exchanges")]
    assert cut(at(3, 10), at(6, 5), "hourly") == minutes
    assert cut(at(3, 10), at(3, 50), "hourly") == [(at(3, 10), at(3, 50), "exchanges")]
    assert cut(at(3), at(4), "hourly") == [(at(3), at(4), "hourly")]
    assert cut(at(4), at(4), "hourly") == cut(at(5), at(4), "users") == []
    assert cut(at(22), at(49), "users") == [
        (at(22), at(24), "exchanges"),
        (at(24), at(48), "users"),
        (at(48), at(49), "exchanges"),
    ]


def told(low: datetime.datetime, high: datetime.datetime, *asked: str) -> list[tuple[str, Any, Any]]:
    """Spans that are not empty, by table."""
    found = spans(low, high, {*asked})
    hours = ("hourly", "hourly", "routes")
    days = ("daily", "daily", "weekly", "models")
    every = [
        *zip(hours, found.hours[::2], found.hours[1::2], strict=True),
        *zip(days, found.days[::2], found.days[1::2], strict=True),
    ]
    return [each for each in every if each[1] < each[2]]


def test_sums_are_told_by_the_table_with_the_fewest_rows_that_knows_enough() -> None:
    low, high = at(22), at(24 * 14 + 3)
    ends = [("hourly", at(22), at(24)), ("hourly", at(24 * 14), high)]
    assert told(low, high, "hour", "outcome", "since") == [("routes", low, high)]
    assert told(low, high, "hour", "model") == [("hourly", low, high)]
    assert told(low, high, "day", "model") == [*ends, ("models", day(19), datetime.date(2026, 12, 2))]
    assert told(low, high, "day", "key") == [*ends, ("daily", day(19), datetime.date(2026, 12, 2))]
    assert told(low, high, "model", "key") == [
        *ends,
        ("daily", day(19), day(23)),
        ("daily", day(30), datetime.date(2026, 12, 2)),
        ("weekly", day(23), day(30)),
    ]
    days = [("daily", day(19), datetime.date(2026, 12, 2))]
    assert told(low, high, "key", "status") == told(low, high, "key", "endpoint") == [*ends, *days]
    assert told(at(24), at(24 * 4), "key") == [("daily", day(19), day(22))]
    assert told(at(24 * 5), at(24 * 12), "key") == [("weekly", day(23), day(30))]
    assert told(at(3), at(20), "model", "key") == [("hourly", at(3), at(20))]


@pytest.mark.parametrize(
    ("groups", "days", "limit", "more"),
    [(0, 1, 1000, 2), (50, 1, 1000, 2), (500, 10, 1000, 11), (999, 10, 1000, 1), (1000, 3, 1000, 1)],
)
def test_days_are_read_until_the_limit_is_likely_full_and_never_too_far_ahead(
    groups: int, days: int, limit: int, more: int
) -> None:
    assert days_at_once(groups, days, limit) == more


def test_days_end_at_midnight_and_the_last_ones_where_the_time_does() -> None:
    low = datetime.datetime(2026, 11, 1, 9, tzinfo=datetime.UTC)
    high = datetime.datetime(2026, 11, 5, 3, tzinfo=datetime.UTC)
    assert end_of_days(low, high, 1) == datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
    assert end_of_days(low, high, 3) == high
    assert end_of_days(low, high, 99) == high
