"""Hot statements on 50,000 exchanges over six months: their index is used, other partitions are not touched."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest

from app.store.database.partitions import Partitions
from app.store.database.periods import lowest_id
from app.store.database.pool import Pool
from app.store.filters.conditions import Condition, composed
from app.store.filters.facts import read_fact
from app.store.filters.filter import HIGHEST_ID, LOWEST_ID, Filter
from app.store.statements import statements
from tests.postgres import PostgresServer

MONTHS = [datetime.date(2026, month, 1) for month in range(6, 12)]

FILL = """
INSERT INTO projects (name) VALUES ('default');
INSERT INTO exchanges (
    project_id, id, week, started_at, duration_us, method, path, query, route, upstream, authority, http_version,
    model, outcome, status, total_tokens, cost, tags,
    stream, request_bytes, response_bytes, request_complete, usage_source, end_user, key, upstream_id,
    capture_status, log_mode, recorder_id, boot, slot, accept_number, conversation_id
)
SELECT
    1, x.id, '2026-01-01',
    to_timestamp(ms / 1000.0), n * 7919 % 50021, 'POST', '/v1/chat/completions', '', 'chat.completions', 'v1',
    'https://a', '1.1',
    CASE WHEN n % 1000 = 0 THEN 'rare' ELSE 'gpt-4o' END,
    CASE WHEN n % 500 = 7 THEN 'client_left' ELSE 'completed' END,
    CASE WHEN n % 400 = 3 THEN 429 ELSE 200 END, n * 7919 % 4001, n * 7919 % 5003 / 1e6,
    CASE WHEN n % 500 = 0 THEN '{"team": "rare"}' WHEN n % 3 = 0 THEN '{"team": "blue"}' ELSE '{}' END::jsonb,
    true, 1, 1, true, 'reported',
    'user' || n % 500, 'key' || n % 20, 'chatcmpl-' || n, 'complete', 'full', gen_random_uuid(), 'b', 0, n,
    x.id
FROM generate_series(1, 50000) AS n,
    LATERAL (SELECT (1780272000000 + n::int8 * 15768000000 / 50000)::int8 AS ms) AS m,
    LATERAL (SELECT (lpad(to_hex(ms), 12, '0') || '7000800000000000' || lpad(to_hex(n), 4, '0'))::uuid AS id) AS x;
INSERT INTO conversations (project_id, id, last_id, exchanges) SELECT project_id, id, id, 1 FROM exchanges;
INSERT INTO transcripts (project_id, id, week, request_preview, facts)
SELECT
    project_id, id, week, 'Hello',
    jsonb_build_object('request', jsonb_build_object('temperature', 1, 'seed', accept_number % 500))
FROM exchanges;
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


async def plan(
    url: str,
    noun: str,
    name: str,
    *parameters: Any,
    conditions: Sequence[Condition] = (),
    before: str | None = None,
) -> list[dict[str, Any]]:
    """The nodes of the plan that were executed, with what they read."""
    statement, *values = composed(statements(noun)[name], parameters, conditions)
    pool = Pool(url)
    async with pool.transaction(readonly=True) as connection:
        if before is not None:
            await connection.execute(statements(noun)[before])
        [top] = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values))
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


async def page(
    url: str, name: str, wanted: Filter, project_id: int | None = 1, after: uuid.UUID | None = None
) -> list[dict[str, Any]]:
    """The plan of a page."""
    low, high = wanted.bounds(after, "desc")
    return await plan(url, "lists", name, low, high, 21, conditions=wanted.conditions(project_id))


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
        (Filter(outcome="client_left"), 1, 130),
        (Filter(status=429), 1, 130),
        (Filter(status=(200, 201)), 1, 30),
        (Filter(tags=(("team", "rare"),)), 1, 110),
        (Filter(facts=(read_fact("", "request.temperature=1"),)), 1, 60),
    ],
    ids=lambda each: repr(each)[:40],
)
async def test_a_page_reads_about_as_many_rows_as_it_shows(
    filled: str, wanted: Filter, project_id: int | None, rows_at_most: int
) -> None:
    for name in ("list_newest", "list_oldest"):
        _, _, rows = scans(await page(filled, name, wanted, project_id))
        assert rows <= rows_at_most


@pytest.mark.parametrize(
    "wanted",
    [Filter(facts=(read_fact("", "request.seed=7"),)), Filter(tags=(("team", "rare"),))],
    ids=["fact", "tag"],
)
async def test_a_rare_fact_or_tag_is_found_by_its_index_alone(filled: str, wanted: Filter) -> None:
    probe = wanted.few_by(1)
    assert probe is not None
    name, conditions = probe
    parameters = (LOWEST_ID, HIGHEST_ID, 2_001)
    nodes = await plan(
        filled, "lists", name, *parameters, conditions=conditions, before="by_inverted_indexes"
    )
    kinds, _, rows = scans(nodes)
    assert kinds == {"Bitmap Heap Scan"}
    assert 100 <= rows <= 400  # a week of a few hundred is read as it is


@pytest.mark.parametrize("way", ["most", "least"])
@pytest.mark.parametrize("value", ["duration", "tokens", "cost"])
async def test_a_page_by_a_value_reads_about_as_many_rows_as_it_shows(
    filled: str, value: str, way: str
) -> None:
    fixed: list[Any] = [LOWEST_ID, HIGHEST_ID, 21, 0, [1]]
    first = scans(await plan(filled, "lists", f"{value}_{way}", *fixed, None, None, None, None))
    middle = Decimal("0.002") if value == "cost" else 2_000
    place = (middle, lowest_id(MONTHS[3]))
    later = scans(await plan(filled, "lists", f"{value}_{way}", *fixed, *place, None, None))
    for kinds, tables, rows in (first, later):
        assert len(tables) >= 6
        assert kinds == {"Index Scan"}
        assert rows <= 60


async def test_a_page_in_a_month_touches_no_other_month(filled: str) -> None:
    wanted = Filter(
        since=datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC),
        until=datetime.datetime(2026, 8, 1, tzinfo=datetime.UTC),
    )
    _, tables, rows = scans(await page(filled, "list_newest", wanted))
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


async def test_a_page_of_conversations_reads_about_as_many_rows_as_it_shows(
    filled: str, postgres_server: PostgresServer
) -> None:
    newest = "SELECT id FROM conversations ORDER BY id DESC OFFSET 20000 LIMIT 20"
    ids = [uuid.UUID(each) for each in postgres_server.psql(filled, newest).split()]
    places = ([1] * 20, ids, ids)
    wanted = Filter(model="gpt-4o", outcome="completed")
    for name, parameters, conditions in (
        ("newest", ([1], HIGHEST_ID, 21), []),
        ("oldest", ([1], LOWEST_ID, 21), []),
        ("of_exchanges", (ids, min(ids), max(ids)), []),
        ("members", (LOWEST_ID, HIGHEST_ID, *places, 1), wanted.conditions(1)),
        ("beginnings", places, []),
        ("sums", (*places, 1001), []),
        ("conversation", (ids[0], [1]), []),
        ("turns", (1, ids[0], ids[0], 200), []),
    ):
        nodes = await plan(filled, "conversation_pages", name, *parameters, conditions=conditions)
        # Partitions that are empty may be read as they are.
        walked = [each for each in nodes if each["Node Type"] == "Seq Scan" and each["Actual Rows"]]
        assert not walked, name
        assert scans(nodes)[2] <= 80, name


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
        assert rows <= 100, name
        assert not tables & {"exchanges_m2026_06", "exchanges_m2026_07"}, name
