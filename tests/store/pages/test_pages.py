"""Pages in every order and under every filter, also where the budget is too small for the whole."""

from __future__ import annotations

import dataclasses
import uuid
from decimal import Decimal
from typing import Any

import pytest

import app.store.reading.query
from app.clock import monotonic_ns, utc_now
from app.store.database.pool import Pool
from app.store.filters.errors import FilterError
from app.store.filters.filter import HIGHEST_ID, LOWEST_ID, Filter, Order
from app.store.filters.reading import read_filter
from app.store.pages import walking
from app.store.pages.walking import count_rows, find_rows
from app.store.pages.wanted import Rows, Sort, Wanted
from app.store.pages.within import within
from app.store.reading.query import Query
from app.store.search.searching import TAIL_CHUNK
from app.store.writing.ingest import Ingest
from app.store.writing.record import Record, Usage
from tests.store.samples import NOON_NS, content, record
from tests.store.search.corpus import saying

SECOND = 1_000_000_000


def wanted(**asked: str) -> Filter:
    return read_filter(asked.items(), utc_now())


def made(number: int, **changes: Any) -> Record:
    usage = Usage(
        None, "reported", 10 * number, None, None, number, None, 11 * number, cost=Decimal(number % 3) / 100
    )
    values: dict[str, Any] = {
        "at_ns": NOON_NS + number * SECOND,
        "usage": usage,
        "duration_us": (7 - number) * 1000,
        "ttft_us": 500,
        "tags": {"n": str(number)},
    }
    return record(**(values | changes))


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("sort", ["started_at", "duration_ms", "total_tokens", "cost"])
async def test_pages_follow_each_other_in_every_order_though_more_is_recorded(
    pool: Pool, ingest: Ingest, sort: Sort, order: str
) -> None:
    await ingest.deliver([made(number, project=f"p{number % 2}") for number in range(7)])
    query, seen, after = Query(pool), [], None
    while True:
        page = await query.list_exchanges(
            Filter(), 2, after, order="asc" if order == "asc" else "desc", sort=sort
        )
        seen += page.exchanges
        if not page.has_more:
            break
        after = page.exchanges[-1].id
        if order == "desc":  # what comes before the page shifts nothing
            await ingest.deliver([made(902, duration_us=10**9)])
    assert len(seen) == 7
    of = {
        "started_at": lambda each: each.id,
        "duration_ms": lambda each: (each.duration_us, each.id),
        "total_tokens": lambda each: (each.total_tokens, each.id),
        "cost": lambda each: (each.cost, each.id),
    }[sort]
    assert seen == sorted(seen, key=of, reverse=order == "desc")


@pytest.mark.parametrize("sort", ["started_at", "duration_ms", "cost"])
@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_windows_find_what_one_statement_finds(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch, order: str, sort: Sort
) -> None:
    monkeypatch.setattr(walking, "FIRST_WINDOW", 3)
    await ingest.deliver([made(number, method="GET" if number % 5 == 0 else "POST") for number in range(23)])
    direction: Order = "asc" if order == "asc" else "desc"
    page = Wanted(Filter(method="GET"), [1], LOWEST_ID, HIGHEST_ID, 3, direction, sort)
    async with pool.transaction(readonly=True) as connection:
        whole = await find_rows(connection, page)
        by_windows = await walking._Walk(connection, page).by_windows(monotonic_ns() + 60 * SECOND)
    assert [row["id"] for row in by_windows.rows] == [row["id"] for row in whole.rows]
    assert by_windows.has_more is whole.has_more is True


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("sort", ["started_at", "duration_ms", "total_tokens", "cost"])
async def test_a_page_over_its_budget_says_how_far_it_came_and_the_next_goes_on(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch, sort: Sort, order: Order
) -> None:
    monkeypatch.setattr(walking, "FIRST_WINDOW", 5)
    monkeypatch.setattr(app.store.reading.query, "find_rows", _without_time)
    await ingest.deliver(
        [made(number, method="GET" if number in (2, 3, 19) else "POST") for number in range(23)]
    )
    query, found, after, rounds = Query(pool), list[str](), None, 0
    while True:
        page = await query.list_exchanges(Filter(method="GET"), 2, after, order, sort)
        found += [each.tags["n"] for each in page.exchanges]
        rounds += 1
        if not page.has_more:
            break
        after = page.resume_after or page.exchanges[-1].id
    # The longer ago it began the longer it took; 2 and 3 cost more than 19.
    of = {"started_at": "19 3 2", "duration_ms": "2 3 19", "total_tokens": "19 3 2", "cost": "2 19 3"}[
        sort
    ].split()
    assert found == (of if order == "desc" else of[::-1])
    assert rounds > 3


async def _without_time(connection: Any, wanted: Wanted) -> Rows:
    """As if the budget were used up by the first window."""
    return await walking._Walk(connection, wanted).by_windows(deadline=0)


async def test_a_statement_over_its_time_leaves_the_transaction_as_it_was(pool: Pool) -> None:
    async with pool.transaction(readonly=True) as connection:
        assert await within(connection, 0.05, "SELECT pg_sleep(5)") is None
        assert await connection.fetchval("SHOW statement_timeout") == "15s"
        rows = await within(connection, 5, "SELECT 1 AS one")
        assert rows is not None
        assert rows[0]["one"] == 1
        assert await connection.fetchval("SHOW statement_timeout") == "15s"


async def test_totals_are_counted_and_capped(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest.deliver([made(number) for number in range(7)])
    page = Wanted(Filter(), [1], LOWEST_ID, HIGHEST_ID, 1)
    async with pool.transaction(readonly=True) as connection:
        assert await count_rows(connection, page) == 7
        monkeypatch.setattr(walking, "COUNTED_MOST", 4)
        assert await count_rows(connection, page) == 5


async def test_what_says_some_words_is_counted_and_capped(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest.deliver([saying("katze", at_ns=NOON_NS + at * SECOND, user="ab"[at % 2]) for at in range(7)])
    query = Query(pool)
    assert await query.count_exchanges(wanted(q="katze")) == 7
    assert await query.count_exchanges(wanted(q="katze", user="a")) == 4
    assert await query.count_exchanges(wanted(q="maus")) == 0
    monkeypatch.setattr(app.store.reading.query, "COUNTED_MOST", 3)
    assert await query.count_exchanges(wanted(q="katze")) == 4


async def test_what_says_some_words_is_not_counted_where_that_takes_too_long(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.store.reading.query, "COUNT_SECONDS", 0)
    monkeypatch.setattr(app.store.reading.query, "COUNTED_MOST", 3)
    words = ["everywhere first", *["everywhere"] * (2 * TAIL_CHUNK)]
    await ingest.deliver([saying(word, at_ns=NOON_NS + at * SECOND) for at, word in enumerate(words)])
    assert await Query(pool).count_exchanges(wanted(q="everywhere first")) is None
    assert await Query(pool).count_exchanges(wanted(q="everywhere")) == 4


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("sort", ["duration_ms", "total_tokens", "cost"])
async def test_what_says_some_words_is_sorted_as_all_else_is(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch, sort: Sort, order: Order
) -> None:
    records = [made(number) for number in range(9)]
    said = [dataclasses.replace(content(b"a", b"b"), said=["katze"]) for _ in records]
    await ingest.deliver(
        [dataclasses.replace(each, content=what) for each, what in zip(records, said, strict=True)]
    )
    query, found, after = Query(pool), list[uuid.UUID](), None
    while True:
        page = await query.list_exchanges(wanted(q="katze"), 2, after, order, sort)
        found += [each.id for each in page.exchanges]
        assert page.snippets is not None
        if not page.has_more:
            break
        after = found[-1]
    everything = await query.list_exchanges(Filter(), 100, None, order, sort)
    assert found == [each.id for each in everything.exchanges]
    assert len(found) == 9
    monkeypatch.setattr(app.store.reading.query, "FEW", 5)
    with pytest.raises(FilterError, match="more than 5 exchanges"):
        await query.list_exchanges(wanted(q="katze"), 2, None, order, sort)


FACTS = (
    '{"request": {"temperature": 1, "stop": ["a", "b"]}, "response": {"choices": [{"finish_reason": "stop"}]}}',
    '{"request": {"temperature": 0.5, "seed": "1", "odd name": true}, '
    '"response": {"choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}]}}',
    '{"request": {"model": "GPT-4o.mini", "temperature": "1", "note": "\\"; DROP"}}',
)


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("request.temperature=1", [0, 2]),
        ("request.temperature=1.0", [0]),
        ('request.temperature="1"', [2]),
        ("request.temperature!=1", [1]),
        ("request.temperature>0.5", [0]),
        ("request.temperature>=0.5", [0, 1]),
        ("request.temperature<1", [1]),
        ("request.seed=1", [1]),
        ("request.seed=", [1]),
        ("request.seed", [1]),
        ("request.seed exists", [1]),
        ("request.seed!=", [0, 2]),
        ("request.stop=b", [0]),
        ("request.stop[0]=b", []),
        ("request.stop[1]=b", [0]),
        ("response.choices[0].finish_reason=length", []),
        ("response.choices[*].finish_reason=length", [1]),
        ("response.choices[].finish_reason=stop", [0, 1]),
        ("request.model~4O.M", [2]),
        ("request.model~4.m", []),
        ('request."odd name"=true', [1]),
        ('request.note="; DROP', [2]),
        ("request.nothing=1", []),
    ],
)
async def test_a_question_of_facts_finds(pool: Pool, ingest: Ingest, question: str, found: list[int]) -> None:
    records = [
        record(at_ns=NOON_NS + n * SECOND, content=_with_facts(facts)) for n, facts in enumerate(FACTS)
    ]
    await ingest.deliver([*records, record(at_ns=NOON_NS + 9 * SECOND)])
    name, _, value = question.partition("=")
    page = await Query(pool).list_exchanges(wanted(**{name: value}), order="asc")
    ids = [uuid.UUID(bytes=each.id) for each in records]
    assert [ids.index(each.id) for each in page.exchanges] == found


def _with_facts(facts: str):
    kept = content(b"1", b"2")
    return type(kept)(**{name: getattr(kept, name) for name in kept.__dataclass_fields__} | {"facts": facts})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"tag.n": "3"}, [3]),
        ({"tag.n": ""}, [0, 1, 2, 3, 4]),
        ({"tag.m": ""}, []),
        ({"status": "4xx"}, [1, 2]),
        ({"status": "200,404"}, [0, 2, 3, 4]),
        ({"status": "404-599"}, [2]),
        ({"stream": "false"}, [4]),
        ({"finish_reason": "length"}, [3]),
        ({"min_duration_ms": "6", "max_duration_ms": "6.5"}, [1]),
        ({"min_ttft_ms": "0.5"}, [0, 1, 2, 3, 4]),
        ({"max_ttft_ms": "0.4"}, []),
        ({"min_input_tokens": "30"}, [3, 4]),
        ({"max_output_tokens": "1"}, [0, 1]),
        ({"min_cost": "0.02"}, [2]),
        ({"max_cost": "0.0"}, [0, 3]),
        ({"max_input_tokens": "9" * 18}, [0, 1, 2, 3, 4]),
        ({"tag.n": "3", "status": "404"}, []),
        ({"tag.n": 'a"b'}, []),
        ({"tag.n": "nul\0"}, []),
    ],
)
async def test_a_filter_finds(pool: Pool, ingest: Ingest, asked: dict[str, str], found: list[int]) -> None:
    changes: list[dict[str, object]] = [
        {},
        {"status": 400},
        {"status": 404},
        {"finish_reason": "length"},
        {"stream": False},
    ]
    records = [made(number, **each) for number, each in enumerate(changes)]
    await ingest.deliver(records)
    page = await Query(pool).list_exchanges(wanted(**asked), order="asc")
    ids = [uuid.UUID(bytes=each.id) for each in records]
    assert [ids.index(each.id) for each in page.exchanges] == found
