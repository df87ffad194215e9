"""Lists go by place and never tell a body: what a client may lean on, whatever is recorded meanwhile."""

from __future__ import annotations

import dataclasses
import itertools
from decimal import Decimal

import pytest

from app.store.pages import walking
from app.store.writing.record import Record, Usage
from tests.api.conftest import Console
from tests.store.samples import NOON_NS, record, talk

SECOND_NS = 1_000_000_000
VALUES = {
    "started_at": lambda each: each["started_at"],
    "duration_ms": lambda each: each["duration_ms"],
    "total_tokens": lambda each: each["usage"]["total_tokens"],
    "cost": lambda each: Decimal(each["cost"]),
}


def made(number: int) -> Record:
    """Some share their values: then the id tells which comes first."""
    cost = Decimal(number % 3) / 100
    tokens = 10 * (number % 4)
    return record(
        at_ns=NOON_NS + number * SECOND_NS,
        duration_us=1000 * (number % 5),
        usage=Usage(None, "reported", tokens, None, None, tokens, None, 2 * tokens, cost=cost),
    )


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("sort", VALUES)
async def test_whatever_is_recorded_meanwhile_nothing_that_was_there_is_missed_or_comes_twice(
    console: Console, sort: str, order: str
) -> None:
    await console.ingest.deliver([made(number) for number in range(0, 40, 2)])
    query = f"/api/exchanges?sort={sort}&order={order}"
    there = (await console.get(f"{query}&limit=100")).json()["data"]
    assert len(there) == 20
    seen, after = [], ""
    for late in itertools.count(1, 2):  # before, between and behind what was read
        page = (await console.get(f"{query}&limit=3{after}")).json()
        seen += page["data"]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
        await console.ingest.deliver([made(late), made(100 - late)])
        assert late < 100
    ids = [each["id"] for each in seen]
    assert len(set(ids)) == len(ids)
    was_there = {each["id"] for each in there}
    assert [each["id"] for each in seen if each["id"] in was_there] == [each["id"] for each in there]
    keys = [(VALUES[sort](each), each["id"]) for each in seen]
    assert keys == sorted(keys, reverse=order == "desc")


async def test_a_list_tells_previews_and_never_bodies(console: Console) -> None:
    sent = talk(b'{"secret": "%s"}' % (b"q" * 100_000), b"w" * 100_000)
    assert sent.content is not None
    preview = dataclasses.replace(sent.content, request_preview="a" * 200, response_preview="b" * 200)
    await console.ingest.deliver([dataclasses.replace(sent, content=preview)])
    answer = await console.get("/api/exchanges")
    (listed,) = answer.json()["data"]
    assert (listed["request_preview"], listed["response_preview"]) == ("a" * 200, "b" * 200)
    assert len(answer.content) < 3_000
    assert b"qqqqqqqqqq" not in answer.content


async def test_totals_are_told_where_they_are_asked_for_and_capped(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    await console.ingest.deliver([made(number) for number in range(5)])
    page = (await console.get("/api/exchanges?limit=2")).json()
    assert "total" not in page
    page = (await console.get("/api/exchanges?limit=2&count=true")).json()
    assert (page["total"], page["total_is_capped"]) == (5, False)
    monkeypatch.setattr(walking, "COUNTED_MOST", 3)
    monkeypatch.setattr("app.api.wire.COUNTED_MOST", 3)
    page = (await console.get("/api/exchanges?limit=2&count=true")).json()
    assert (page["total"], page["total_is_capped"]) == (3, True)
