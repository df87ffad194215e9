"""Filters, orders and totals of `list` and `search` as options; `stats` and `storage` beside them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator

import pytest

from app.cli.filters import FILTERS
from app.store.filters.reading import NAMES
from tests.api.conftest import Console, running_console
from tests.cli.asked import on_terminal, verbatim
from tests.store.samples import NOON_NS, record, talk
from tests.store.search.corpus import saying

SECOND_NS = 1_000_000_000


@pytest.fixture
async def console(database_url: str) -> AsyncIterator[Console]:
    async with running_console(database_url) as running:
        yield running


def test_every_filter_of_the_console_is_an_option() -> None:
    assert set(FILTERS) == NAMES


async def listed(console: Console, *arguments: str) -> list[int]:
    """The statuses of what is listed."""
    done = await verbatim(console.url, "list", "--order", "asc", *arguments)
    assert done.code == 0, done.errors
    return [json.loads(line)["status"] for line in done.text.splitlines()]


async def test_questions_tags_orders_and_totals_are_options(console: Console) -> None:
    records = []
    for at in range(6):
        made = talk(
            b"{}",
            b"{}",
            at_ns=NOON_NS + at * SECOND_NS,
            status=200 + at,
            tags={"n": str(at), "team": "ab"[at % 2]},
            duration_us=(6 - at) * 1000,
        )
        assert made.content is not None
        facts = json.dumps({"request": {"temperature": at, "stop": "a=b" if at == 3 else "c"}})
        records.append(dataclasses.replace(made, content=dataclasses.replace(made.content, facts=facts)))
    await console.ingest.deliver(records)
    assert await listed(console, "--where", "request.temperature=2") == [202]
    assert await listed(console, "--where", "request.temperature>2", "--where", "request.temperature<=4") == [
        203,
        204,
    ]
    assert await listed(console, "--where", "request.stop=a=b") == [203]
    assert await listed(console, "--where", "request.stop~A=") == [203]
    assert await listed(console, "--where", "request.temperature exists", "--limit", "2") == [200, 201]
    assert await listed(console, "--where", "request.seed exists") == []
    assert await listed(console, "--tag", "team=b", "--tag", "n") == [201, 203, 205]
    assert await listed(console, "--tag", "team=b", "--tag", "n=3") == [203]
    assert await listed(console, "--sort", "duration_ms", "--limit", "2") == [205, 204]
    assert await listed(console, "--max-duration-ms", "2.5", "--status", "2xx") == [204, 205]
    assert (await verbatim(console.url, "list", "--count", "--tag", "team=a")).text == "3\n"
    counted = await verbatim(console.url, "list", "--count", "--json")
    assert json.loads(counted.text) == {"total": 6, "total_is_capped": False}


async def test_words_go_with_every_other_filter(console: Console) -> None:
    await console.ingest.deliver(
        [
            saying("katze", at_ns=NOON_NS + at * SECOND_NS, user="ab"[at % 2], status=200 + at)
            for at in range(4)
        ]
    )
    done = await verbatim(console.url, "search", "katze", "--user", "b", "--status", "203")
    assert [json.loads(line)["status"] for line in done.text.splitlines()] == [203]
    assert (await verbatim(console.url, "search", "katze", "--user", "b", "--count")).text == "2\n"
    done = await verbatim(console.url, "export", "--q", "katze", "--user", "a", "--order", "desc")
    assert [json.loads(line)["status"] for line in done.text.splitlines()] == [202, 200]
    done = await verbatim(console.url, "conversations", "--q", "katze")
    assert (done.code, done.output) == (0, b""), done.errors  # of no conversation


async def test_stats_are_a_table_on_a_terminal_and_json_in_a_pipe(console: Console) -> None:
    await console.ingest.deliver([record(at_ns=NOON_NS + at, user="ab"[at % 2]) for at in range(6)])
    done = await verbatim(console.url, "stats", "--by", "user,day", "--user", "b")
    (group,) = [json.loads(line) for line in done.text.splitlines()]
    assert (group["exchanges"], group["group"]["user"]) == (3, "b")
    shown = await on_terminal(console.url, "stats", "--by", "model")
    assert "s p95" in shown
    assert "gpt-4o" in shown
    assert (await verbatim(console.url, "stats", "--by", "", "--no-percentiles")).text.count("\n") == 1


async def test_storage_is_a_small_table(console: Console) -> None:
    await console.ingest.deliver([talk(b"x" * 5000, b"y")])
    told = json.loads((await verbatim(console.url, "storage")).text)
    assert told["object"] == "storage"
    shown = await on_terminal(console.url, "storage")
    assert "2026-11-16" in shown
    assert "more a day" in shown
