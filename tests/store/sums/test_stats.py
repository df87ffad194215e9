"""Sums by groups: the same, whichever table they come from."""

from __future__ import annotations

import dataclasses
import datetime
import random
from decimal import Decimal
from typing import Any

import pytest

from app.clock import utc_now
from app.store.database.pool import Pool
from app.store.filters.errors import FilterError
from app.store.filters.filter import Filter
from app.store.filters.reading import read_filter
from app.store.reading.query import Query
from app.store.sums import stats
from app.store.sums.groups import quantiles, read_groups, source_of
from app.store.writing import tags
from app.store.writing.ingest import Ingest
from app.store.writing.record import Record, Usage
from tests.store.samples import NOON_NS, record
from tests.store.search.corpus import saying

HOUR = 3_600_000_000_000


def wanted(**asked: str) -> Filter:
    return read_filter(asked.items(), utc_now())


def some() -> list[Record]:
    """24 exchanges over twelve hours from noon, some of them failed, some without a user."""
    return [
        record(
            at_ns=NOON_NS + number * HOUR // 2,
            model=f"m{number % 3}",
            user=f"u{number % 2}" if number % 5 else None,
            status=(200, 404, 500, 429)[number % 4],
            outcome="client_left" if number == 7 else "completed",
            tags={"team": f"t{number % 2}"},
            duration_us=1000 * (number + 1),
            usage=Usage(
                "{}",
                "reported",
                10 + number,
                1,
                None,
                2,
                3,
                12,
                cost=Decimal(number) / 100,
                cost_status="priced",
            ),
        )
        for number in range(24)
    ]


def told(found: stats.Stats, *names: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {
        tuple(each.values[name] for name in names): (
            each.sums.counts["exchanges"],
            each.sums.counts["input_tokens"],
            each.sums.cost,
            each.sums.errors,
        )
        for each in found.groups
    }


def times(found: stats.Stats) -> dict[tuple[Any, ...], Any]:
    """Percentiles by group."""
    told = quantiles([each.sums for each in found.groups])
    return {tuple(each.values.values()): of_it for each, of_it in zip(found.groups, told, strict=True)}


@pytest.mark.parametrize(
    "groups",
    [
        (),
        ("hour",),
        ("day",),
        ("model", "day"),
        ("key",),
        ("project", "model"),
        ("status",),
        ("outcome", "endpoint"),
        ("hour", "outcome"),
        ("hour", "model"),
    ],
)
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"since": "2026-11-18T13:10:00Z"},
        {"since": "2026-11-18T13:10:00Z", "until": "2026-11-18T13:50:00Z"},
    ]
    + [{"until": "2026-11-18T20:20:00Z", "model": "m1"}, {"status": "4xx"}, {"outcome": "client_left"}],
    ids=str,
)
async def test_sums_of_hours_are_those_of_the_exchanges(
    pool: Pool, ingest: Ingest, groups: tuple[str, ...], asked: dict[str, str]
) -> None:
    await ingest.deliver(some())
    reader = Query(pool).stats
    quick = await reader.read(wanted(**asked), groups)
    slow = await reader.read(wanted(**asked, min_input_tokens="0"), groups)
    assert (quick.source, slow.source) == ("hourly", "exchanges")
    assert told(quick, *groups) == told(slow, *groups)
    assert times(quick) == times(slow)


@pytest.mark.parametrize(
    "groups",
    [("model", "key"), ("key",), ("day", "key"), ("model", "outcome"), ("day", "model"), ("hour", "key")],
)
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"since": "2026-10-14T13:10:00Z", "until": "2026-11-17T03:20:00Z"},
        {"since": "2026-10-19", "until": "2026-11-16"},
        {"since": "2026-10-20", "until": "2026-10-25T18:00:00Z", "key": "k1"},
        {"since": "2026-10-12T00:30:00Z", "model": "m1", "status": "2xx"},
    ],
    ids=str,
)
async def test_sums_of_weeks_are_those_of_the_exchanges(
    pool: Pool, ingest: Ingest, groups: tuple[str, ...], asked: dict[str, str]
) -> None:
    chance = random.Random(3)
    many = [
        dataclasses.replace(each, key=f"k{chance.randrange(3)}")
        for each in (
            record(at_ns=NOON_NS - number * 5 * HOUR, model=f"m{number % 2}") for number in range(240)
        )
    ]
    await ingest.deliver(many)
    reader = Query(pool).stats
    quick = await reader.read(wanted(**asked), groups)
    slow = await reader.read(wanted(**asked, min_input_tokens="0"), groups)
    assert (quick.source, slow.source) == ("hourly", "exchanges")
    assert told(quick, *groups) == told(slow, *groups) != {}
    assert times(quick) == times(slow)


@pytest.mark.parametrize("groups", [("user",), ("user", "model"), ("day", "user")])
async def test_sums_of_users_are_those_of_the_exchanges(
    pool: Pool, ingest: Ingest, groups: tuple[str, ...]
) -> None:
    await ingest.deliver(some())
    reader = Query(pool).stats
    asked = {"since": "2026-11-17T03:00:00Z", "until": "2026-11-19T00:00:00Z"}
    quick = await reader.read(wanted(**asked), groups)
    slow = await reader.read(wanted(**asked, min_input_tokens="0"), groups)
    assert (quick.source, slow.source) == ("users", "exchanges")
    assert {key: each[:3] for key, each in told(quick, *groups).items()} == {
        key: each[:3] for key, each in told(slow, *groups).items() if None not in key
    }
    assert all(each.sums.errors is None for each in quick.groups)


@pytest.mark.parametrize(
    "groups", [("tag.team",), ("day", "tag.team"), ("tag.team", "project"), ("tag.none",)]
)
@pytest.mark.parametrize(
    "asked", [{}, {"since": "2026-11-17T03:00:00Z", "until": "2026-11-19T00:00:00Z"}], ids=str
)
async def test_sums_of_tags_are_those_of_the_exchanges(
    pool: Pool, ingest: Ingest, groups: tuple[str, ...], asked: dict[str, str]
) -> None:
    day_before = record(at_ns=NOON_NS - 24 * HOUR, tags={"team": "t1", "else": "x"})
    await ingest.deliver([*some(), record(tags={}), day_before])
    reader = Query(pool).stats
    quick = await reader.read(wanted(**asked), groups)
    slow = await reader.read(wanted(**asked, min_duration_ms="0"), groups)
    assert (quick.source, slow.source) == ("tags", "exchanges")
    assert told(quick, *groups) == told(slow, *groups)
    assert times(quick) == times(slow)


async def test_tags_with_too_many_values_are_told_by_the_exchanges(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "MOST_VALUES", 5)
    many = [record(at_ns=NOON_NS + n, tags={"id": f"{n}", "team": f"t{n % 2}"}) for n in range(20)]
    for start in range(0, 20, 4):
        await ingest.deliver(many[start : start + 4])
    reader = Query(pool).stats
    by_id = await reader.read(Filter(), ["tag.id"])
    assert (by_id.source, len(by_id.groups)) == ("exchanges", 20)
    by_team = await reader.read(Filter(), ["tag.team"])
    assert (by_team.source, len(by_team.groups)) == ("tags", 2)
    async with pool.transaction(readonly=True) as connection:
        assert await connection.fetchval("SELECT count(*) FROM usage_daily_tags WHERE name = 'id'") <= 5


async def test_a_day_with_too_many_names_of_tags_is_told_by_the_exchanges(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "MOST_NAMES", 5)
    await ingest.deliver([record(at_ns=NOON_NS + n, tags={f"name{n}": "x", "team": "t"}) for n in range(9)])
    await ingest.deliver([record(at_ns=NOON_NS + n, tags={"team": "t"}) for n in range(10, 12)])
    found = await Query(pool).stats.read(Filter(), ["tag.team"])
    assert found.source == "exchanges"
    assert found.groups[0].sums.counts["exchanges"] == 11


async def test_what_was_recorded_before_tags_were_summed_is_told_by_the_exchanges(
    pool: Pool, ingest: Ingest
) -> None:
    await ingest.deliver(some())
    async with pool.transaction() as connection:
        await connection.execute("UPDATE meta SET value = '2026-11-19' WHERE key = 'tags_summed_since'")
        await connection.execute("DELETE FROM usage_daily_tags")
    await ingest.deliver([record(at_ns=NOON_NS + 36 * HOUR, tags={"team": "t1"})])
    reader = Query(pool).stats
    found = await reader.read(Filter(), ["tag.team"])
    assert (found.source, found.groups[0].sums.counts["exchanges"]) == ("exchanges", 13)
    late = await reader.read(wanted(since="2026-11-19"), ["tag.team"])
    assert (late.source, late.groups[0].sums.counts["exchanges"]) == ("tags", 1)


async def test_tags_and_status_codes_are_groups_too(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver([*some(), record(status=None, tags={})])
    reader = Query(pool).stats
    found = told(await reader.read(Filter(), ["tag.team", "status_code"]), "tag.team", "status_code")
    assert found["t0", "200"][0] == 6
    assert found["t1", "404"][0] == 6
    assert found[None, None][0] == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "2026-11-18T12:30:00Z"},
        {"until": "2026-11-18T13:30:00Z"},
        {"since": "2026-11-17T12:30:00Z", "until": "2026-11-19T13:30:00Z"},
    ],
    ids=str,
)
@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize(
    "groups", [("day", "key"), ("hour", "key"), ("day", "hour"), ("hour", "day"), ("day",)]
)
async def test_groups_of_the_first_times_are_whole_where_a_time_has_odd_ends(
    pool: Pool, ingest: Ingest, asked: dict[str, str], limit: int, groups: tuple[str, ...]
) -> None:
    minutes = [*range(-1500, 1700, 97), *range(25, 50), *range(85, 100)]
    many = [
        dataclasses.replace(record(at_ns=NOON_NS + minute * HOUR // 60), key=f"k{number % 3}")
        for number, minute in enumerate(minutes)
    ]
    await ingest.deliver(many)
    reader = Query(pool).stats
    every = await reader.read(wanted(**asked), groups)
    cut = await reader.read(wanted(**asked), groups, limit)
    assert told(cut, *groups) == dict([*told(every, *groups).items()][:limit])
    slow = await reader.read(wanted(**asked, min_input_tokens="0"), groups, limit)
    assert slow.source == "exchanges"
    assert told(slow, *groups) == told(cut, *groups)


@pytest.mark.parametrize("groups", [("hour",), ("day",), ("day", "hour")])
async def test_the_last_half_second_of_an_hour_belongs_to_it(
    pool: Pool, ingest: Ingest, groups: tuple[str, ...]
) -> None:
    last = NOON_NS + 12 * HOUR - 300_000_000
    await ingest.deliver([record(at_ns=last), record(at_ns=last + 600_000_000)])
    reader = Query(pool).stats
    quick = await reader.read(Filter(), groups)
    slow = await reader.read(wanted(min_input_tokens="0"), groups)
    assert len(quick.groups) == 2
    assert told(quick, *groups) == told(slow, *groups)


@pytest.mark.parametrize("limit", [1, 2, 5, 11, 12, 13])
async def test_the_largest_groups_are_added_up_whole(pool: Pool, ingest: Ingest, limit: int) -> None:
    chance = random.Random(4)
    models = chance.choices("abcd", (8, 5, 2, 1), k=300)
    many = [
        dataclasses.replace(
            record(at_ns=NOON_NS - number * 3 * HOUR - number, model=model), key=f"k{chance.randrange(3)}"
        )
        for number, model in enumerate(models)
    ]
    # These are many, but only at the end, which exchanges tell.
    late = [record(at_ns=NOON_NS + HOUR + number, model="d", key="k0") for number in range(30)]
    await ingest.deliver([*many, *late])
    asked = wanted(since="2026-10-14T13:10:00Z", until="2026-11-18T13:20:00Z")
    reader = Query(pool).stats
    every = await reader.read(asked, ["model", "key"])
    found = await reader.read(asked, ["model", "key"], limit)
    assert told(found, "model", "key").items() <= told(every, "model", "key").items()
    assert times(found).items() <= times(every).items()
    sizes = [[each.sums.counts["exchanges"] for each in read.groups] for read in (found, every)]
    assert len(sizes[1]) == 12
    assert sizes[0] == sizes[1][:limit]
    assert found.has_more == (limit < 12)


async def test_groups_come_by_time_or_the_largest_first_and_are_cut(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver([*some(), record(model="m1")])
    reader = Query(pool).stats
    found = await reader.read(Filter(), ["model", "hour"])
    hours = [each.values["hour"] for each in found.groups]
    assert hours == sorted(hours, key=str)
    assert hours[0] == datetime.datetime(2026, 11, 18, 12, tzinfo=datetime.UTC)
    cut = await reader.read(Filter(), ["model"], 1)
    assert [each.values["model"] for each in cut.groups] == ["m1"]
    assert cut.has_more


async def test_percentiles_are_right_to_nine_percent(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver([record(duration_us=1_000_000 + 10_000 * n, ttft_us=None) for n in range(100)])
    [group] = (await Query(pool).stats.read(Filter(), [])).groups
    [(durations, ttfts)] = quantiles([group.sums])
    for share, found in zip((1.5e6, 1.9e6, 1.95e6, 1.99e6), durations or (), strict=True):
        assert found == pytest.approx(share, rel=0.09)
    assert ttfts is None


async def test_what_the_budget_does_not_reach_is_told(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "BUDGET_SECONDS", 0)
    monkeypatch.setattr(stats, "FIRST_WINDOW_MILLISECONDS", 3_600_000)
    await ingest.deliver(some())
    found = await Query(pool).stats.read(Filter(min_input_tokens=0), [])
    assert not found.is_complete
    assert found.groups[0].sums.counts["exchanges"] == 3
    assert found.since == datetime.datetime(2026, 11, 18, 22, 30, tzinfo=datetime.UTC)


def saying_words() -> list[Record]:
    """Twelve exchanges, an hour apart; every third says `katze`."""
    words = [("eine katze" if at % 3 == 0 else "ein hund") for at in range(12)]
    return [
        saying(word, at_ns=NOON_NS + at * 3_600 * 10**9, model=f"m{at % 2}") for at, word in enumerate(words)
    ]


async def test_what_says_some_words_is_summed_up_with_other_filters(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver(saying_words())
    reader = Query(pool).stats
    for asked, counts in (
        (wanted(q="katze"), {"m0": 2, "m1": 2}),
        (wanted(q="-katze hund", model="m1"), {"m1": 4}),
        (wanted(q="katze", until="2026-11-18T16:00:00Z"), {"m0": 1, "m1": 1}),
        (wanted(q="maus"), {}),
    ):
        found = await reader.read(asked, ["model"])
        assert found.is_complete
        assert {each.values["model"]: each.sums.counts["exchanges"] for each in found.groups} == counts


async def test_what_says_words_too_often_is_summed_up_since_a_time_that_is_told(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "MOST_SAID", 3)
    await ingest.deliver(saying_words())
    found = await Query(pool).stats.read(wanted(q="katze"), [])
    assert not found.is_complete
    assert found.groups[0].sums.counts["exchanges"] == 3
    assert found.since == datetime.datetime(2026, 11, 18, 15, tzinfo=datetime.UTC)


def test_the_smallest_table_that_knows_enough_is_read() -> None:
    assert source_of(["day", "model"], wanted(status="4xx,5xx")) == "hourly"
    assert source_of(["day"], wanted(status="404")) == "exchanges"
    assert source_of(["day"], wanted(user="u")) == "users"
    assert source_of(["hour"], wanted(user="u")) == "exchanges"
    assert source_of(["day", "tag.x"], Filter()) == "tags"
    assert source_of(["hour", "tag.x"], Filter()) == "exchanges"
    assert source_of(["tag.x", "tag.y"], Filter()) == "exchanges"
    assert source_of(["day"], wanted(**{"request.temperature": "1"})) == "exchanges"


@pytest.mark.parametrize(
    ("text", "position"),
    [("modle", 0), ("day,x", 4), ("day,day", 4), ("day,model,user", 10), ("tag.", 0), ("day,", 4)],
)
def test_a_group_that_is_none_is_refused_with_its_place(text: str, position: int) -> None:
    with pytest.raises(FilterError) as caught:
        read_groups(text)
    assert caught.value.position == position


async def test_groups_by_time_are_read_from_the_first_until_a_page_is_full(
    pool: Pool, ingest: Ingest
) -> None:
    day_ns = 24 * HOUR
    await ingest.deliver(
        [record(at_ns=NOON_NS - n * day_ns, user=f"u{n % 3}", model=f"m{n % 2}") for n in range(70)]
    )
    reader = Query(pool).stats
    for groups in (["day"], ["hour", "model"], ["user", "day"], ["day", "user"]):
        whole = await reader.read(Filter(), groups)
        assert [len(whole.groups), whole.has_more] == [70, False]
        for limit in (1, 5, 69, 70):
            cut = await reader.read(Filter(), groups, limit)
            assert told(cut, *groups) == dict(list(told(whole, *groups).items())[:limit])
            assert cut.has_more == (limit < 70)
            assert cut.is_complete
