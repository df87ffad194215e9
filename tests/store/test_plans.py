"""Hot statements on 50,000 exchanges over six months: their index is used, other partitions are not touched."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from app.store.filter import HIGHEST_ID, LOWEST_ID, Filter
from app.store.partitions import Partitions
from app.store.periods import lowest_id
from app.store.pool import Pool
from app.store.statements import statements
from tests.postgres import PostgresServer

MONTHS = [datetime.date(2026, month, 1) for month in range(6, 12)]

FILL = """
INSERT INTO projects (name) VALUES ('default');
INSERT INTO exchanges (
    project_id, id, week, started_at, duration_us, method, path, query, route, upstream, authority, http_version,
    model, outcome, stream, request_bytes, response_bytes, request_complete, usage_source, end_user, key, upstream_id,
    capture_status, log_mode, recorder_id, boot, slot, accept_number
)
SELECT
    1, (lpad(to_hex(ms), 12, '0') || '7000800000000000' || lpad(to_hex(n), 4, '0'))::uuid, '2026-01-01',
    to_timestamp(ms / 1000.0), 1000, 'POST', '/v1/chat/completions', '', 'chat.completions', 'v1', 'https://a', '1.1',
    CASE WHEN n % 1000 = 0 THEN 'rare' ELSE 'gpt-4o' END, 'completed', true, 1, 1, true, 'reported',
    'user' || n % 500, 'key' || n % 20, 'chatcmpl-' || n, 'complete', 'full', gen_random_uuid(), 'b', 0, n
FROM generate_series(1, 50000) AS n,
    LATERAL (SELECT (1780272000000 + n::int8 * 15768000000 / 50000)::int8 AS ms) AS m;
INSERT INTO transcripts (project_id, id, week, request_preview)
SELECT project_id, id, week, 'Hello' FROM exchanges;
ANALYZE;
"""


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer, _template: str) -> Iterator[str]:
    url = postgres_server.create(_template)

    async def make() -> None:
        pool = Pool(url)
        await Partitions(pool).make_for(
            datetime.date(2026, 5, 31) + datetime.timedelta(days=n) for n in range(190)
        )
        await pool.close()

    asyncio.run(make())
    postgres_server.psql(url, *filter(None, map(str.strip, FILL.split(";"))))
    yield url
    postgres_server.drop(url)


async def plan(url: str, noun: str, name: str, *parameters: Any) -> list[dict[str, Any]]:
    """The nodes of the plan that were executed, with what they read."""
    pool = Pool(url)
    async with pool.transaction(readonly=True) as connection:
        statement = f"EXPLAIN (ANALYZE, FORMAT JSON) {statements(noun)[name]}"
        [top] = json.loads(await connection.fetchval(statement, *parameters))
    await pool.close()
    nodes, todo = [], [top["Plan"]]
    while todo:
        node = todo.pop()
        nodes.append(node)
        todo += node.get("Plans", [])
    return [node for node in nodes if node.get("Actual Loops")]


def scans(nodes: list[dict[str, Any]]) -> tuple[set[str], set[str], float]:
    """Kinds of scans, tables touched, rows read."""
    read = [node for node in nodes if "Relation Name" in node]
    rows = sum((n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"] for n in read)
    return {node["Node Type"] for node in read}, {node["Relation Name"] for node in read}, rows


def page(wanted: Filter, project_id: int | None = 1, after: uuid.UUID | None = None) -> tuple[Any, ...]:
    low, high = wanted.bounds(after, "desc")
    return (low, high, 21, *wanted.parameters(project_id))


@pytest.mark.parametrize(
    ("wanted", "project_id", "rows_at_most"),
    [
        (Filter(), 1, 21),
        (Filter(), None, 21),
        (Filter(model="rare"), 1, 21),
        (Filter(model="absent"), 1, 0),
        (Filter(key="key3"), 1, 21),
        (Filter(user="user77"), 1, 21),
        (Filter(upstream_id="chatcmpl-31337"), 1, 1),
        (Filter(outcome="completed"), 1, 30),
    ],
    ids=lambda each: repr(each)[:40],
)
async def test_a_page_reads_about_as_many_rows_as_it_shows(
    filled: str, wanted: Filter, project_id: int | None, rows_at_most: int
) -> None:
    for name in ("list_newest", "list_oldest"):
        _, _, rows = scans(await plan(filled, "query", name, *page(wanted, project_id)))
        assert rows <= rows_at_most


async def test_a_page_in_a_month_touches_no_other_month(filled: str) -> None:
    wanted = Filter(
        since=datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC),
        until=datetime.datetime(2026, 8, 1, tzinfo=datetime.UTC),
    )
    _, tables, rows = scans(await plan(filled, "query", "list_newest", *page(wanted)))
    assert tables == {"exchanges_m2026_07"}
    assert rows <= 21


async def test_a_look_up_by_id_touches_one_month_by_its_index(
    filled: str, postgres_server: PostgresServer
) -> None:
    wanted = uuid.UUID(
        postgres_server.psql(filled, "SELECT id FROM exchanges WHERE upstream_id = 'chatcmpl-20000'")
    )
    kinds, tables, rows = scans(await plan(filled, "query", "exchange", wanted))
    assert (kinds, len(tables), rows) == ({"Index Scan"}, 1, 1)
    kinds, tables, rows = scans(await plan(filled, "query", "transcript", 1, wanted))
    assert (kinds, len(tables), rows) == ({"Index Scan"}, 1, 1)


async def test_previews_of_a_page_touch_its_weeks_alone(filled: str, postgres_server: PostgresServer) -> None:
    newest = postgres_server.psql(
        filled, "SELECT id FROM exchanges ORDER BY id DESC LIMIT 20 OFFSET 9000"
    ).split()
    ids = [uuid.UUID(each) for each in newest]
    kinds, tables, rows = scans(await plan(filled, "query", "previews", [1], ids, min(ids), max(ids)))
    assert len(tables) == 1
    assert rows == 20
    assert kinds <= {"Index Scan", "Bitmap Heap Scan"}


async def test_the_bounds_of_a_page_without_limits_take_everything() -> None:
    assert Filter().bounds(None, "desc") == (LOWEST_ID, HIGHEST_ID)
    assert lowest_id(MONTHS[0]).int >> 80 == 1780272000000


async def test_what_an_exchange_continues_is_found_by_indexes_in_the_months_that_are_looked_at(
    filled: str,
) -> None:
    now = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
    since, before, key = lowest_id(now - datetime.timedelta(days=92)), lowest_id(now), b"k" * 16
    within = ([since] * 50, [before] * 50, [now] * 50, [before] * 50)
    projects = [1] * 50
    looked_for = {
        "find_answers": (projects, [key] * 50, *within),
        "find_alike": (projects, [key[:8]] * 50, *within),
        "find_responses": (projects, [f"chatcmpl-{n}" for n in range(31_000, 31_050)], *within),
        "find_requests": (projects, [key * 2] * 50, ["key1"] * 50, *within),
    }
    for name, parameters in looked_for.items():
        kinds, tables, rows = scans(await plan(filled, "conversations", name, *parameters))
        assert kinds <= {"Index Scan", "Bitmap Heap Scan", "Index Only Scan"}, name
        assert rows <= 50, name
        assert not tables & {"exchanges_m2026_06", "exchanges_m2026_07"}, name
