"""Weeks, months and histograms."""

from __future__ import annotations

import datetime
import struct
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.clock import new_id
from app.store.database.periods import day_of_id, lowest_id, period_of, week_number, week_of_day, week_of_id
from app.store.sums.histogram import BOUNDS_MICROSECONDS, BUCKETS, bucket, counted, packed, quantiles_us

MOMENTS = st.datetimes(
    datetime.datetime(1970, 1, 5), datetime.datetime(2200, 1, 1), timezones=st.just(datetime.UTC)
)


@given(MOMENTS)
def test_an_id_lies_within_its_week_and_its_month(moment: datetime.datetime) -> None:
    made = new_id(int(moment.timestamp() * 1000) * 1_000_000)
    assert day_of_id(made) == moment.date()
    week = week_of_id(made)
    assert week.weekday() == 0
    assert week <= moment.date() < week + datetime.timedelta(days=7)
    for unit in ("week", "month"):
        period = period_of("week" if unit == "week" else "month", moment.date())
        assert period.first_id.bytes <= made < period.end_id.bytes
    assert lowest_id(moment).bytes <= made


@given(st.dates(datetime.date(1970, 1, 5), datetime.date(2200, 1, 1)))
def test_periods_follow_each_other_without_gap(day: datetime.date) -> None:
    for unit in ("week", "month"):
        period = period_of("week" if unit == "week" else "month", day)
        after = period_of(period.unit, period.end_day)
        assert period.first_day <= day < period.end_day == after.first_day
        assert period.end_id == after.first_id
    week = week_of_day(day)
    assert week_number(week + datetime.timedelta(days=7)) == week_number(week) + 1


def test_names_tell_the_period() -> None:
    assert period_of("month", datetime.date(2026, 11, 18)).suffix == "m2026_11"
    assert period_of("week", datetime.date(2026, 11, 18)).suffix == "w2026_11_16"


@given(st.integers(0, 1 << 62))
def test_a_bucket_holds_what_lies_between_its_bounds(microseconds: int) -> None:
    number = bucket(microseconds)
    assert 0 <= number < BUCKETS
    if number:
        assert BOUNDS_MICROSECONDS[number - 1] <= microseconds
    if number < BUCKETS - 1:
        assert microseconds < BOUNDS_MICROSECONDS[number]


def sent(number: str) -> bytes:
    """A number as PostgreSQL's numeric_send gives it."""
    padded = number.zfill(-(-len(number) // 4) * 4)
    words = [int(padded[place : place + 4]) for place in range(0, len(padded), 4)]
    highest = len(words) - 1
    while words and not words[-1]:
        words.pop()
    return struct.pack(f">HhHH{len(words)}H", len(words), highest, 0, 0, *words)


def told(*histograms: bytes) -> dict[int, int]:
    """What buckets of a group hold that hold any."""
    [counts] = counted([histograms])
    return {number: int(count) for number, count in enumerate(counts) if count}


@given(st.lists(st.integers(1_000, 10**9), min_size=1), st.floats(0, 1))
def test_a_quantile_is_right_to_a_tenth(times_us: list[int], share: float) -> None:
    histogram = sent(packed(times_us))
    assert told(histogram) == Counter(map(bucket, times_us))
    ordered = sorted(times_us)
    exact = ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
    [estimates] = quantiles_us([[histogram]], [share])
    assert estimates is not None
    assert exact / 1.1 <= estimates[0] <= exact * 1.1


def test_no_times_have_no_quantile() -> None:
    assert packed([]) == "0"
    assert quantiles_us([[sent("0")], [], [sent("0"), sent("0")]], [0.5, 0.9]) == [None] * 3
    assert quantiles_us([[]], [0.5]) == [None]
    assert quantiles_us([], [0.5]) == []


def test_groups_have_the_quantiles_that_each_has_alone() -> None:
    every: list[list[list[int]]] = [[[500], [10**6] * 7], [[]], [[], [10**9, 7]]]
    groups = [[sent(packed(times)) for times in each] for each in every]
    alone = [quantiles_us([each], [0.5, 0.99])[0] for each in groups]
    assert quantiles_us(groups, [0.5, 0.99]) == alone
    assert alone[1] is None


@given(st.lists(st.lists(st.integers(0, 10**12), max_size=5), max_size=5))
def test_histograms_are_added_as_numbers_are(times_us: list[list[int]]) -> None:
    total = sum(int(packed(each)) for each in times_us)
    expected = Counter(bucket(each) for several in times_us for each in several)
    assert told(sent(str(total))) == told(*(sent(packed(each)) for each in times_us)) == expected
