"""A search reads by its indexes, in the weeks and blocks that it is asked for, at its sixth run, too."""

from __future__ import annotations

import datetime
import json
import random
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from app.store.database.partitions import Partitions
from app.store.database.periods import period_of
from app.store.database.pool import Pool
from app.store.filters.filter import HIGHEST_ID, LOWEST_ID
from app.store.statements import statements
from app.store.writing.ingest import Ingest
from tests.store.database.test_partitions import DAY
from tests.store.search.corpus import exchanges
from tests.store.search.test_searching import close

WEEK_START = datetime.date(2026, 11, 16)


@pytest.fixture
async def filled(pool: Pool, ingest: Ingest) -> Pool:
    """A week of four segments and a tail among five weeks."""
    await Partitions(pool).make_for(DAY + datetime.timedelta(days=7 * each) for each in range(-2, 3))
    chance = random.Random(9)
    for _ in range(4):
        await ingest.deliver(exchanges(chance, 200))
        await close(pool)
    await ingest.deliver(exchanges(chance, 200))
    async with pool.maintenance() as connection:
        await connection.execute("ANALYZE")
    return pool


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", []):
        yield from nodes(each)


async def explained(pool: Pool, name: str, *parameters: Any) -> list[dict[str, Any]]:
    async with pool.transaction(readonly=True) as connection:
        await connection.execute(statements("search")["limit_searching"])
        statement = statements("search")[name]
        for _ in range(6):
            await connection.fetch(statement, *parameters)
        [top] = json.loads(
            await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *parameters)
        )
    return [each for each in nodes(top["Plan"]) if each.get("Actual Loops")]


def tables(read: list[dict[str, Any]]) -> set[str]:
    return {each["Relation Name"] for each in read if "Relation Name" in each}


SPAN = (LOWEST_ID, HIGHEST_ID)
WORD = "e"


@pytest.mark.parametrize(
    ("name", "parameters", "table"),
    [
        ("tail_newest", (1, WORD, *SPAN, 20), "search_tail"),
        ("tail_oldest", (1, WORD, *SPAN, 20), "search_tail"),
        ("verify_one", (1, WEEK_START, [1, 1024], WORD, *SPAN), "search_text"),
        ("verify_one", (1, WEEK_START, list(range(0, 4096, 64)), "zzqqxx", *SPAN), "search_text"),
        ("verify_many", (1, WEEK_START, [1, 1024], [WORD, "a"], *SPAN, 2), "search_text"),
        ("verify_many", (1, WEEK_START, list(range(0, 4096, 64)), ["zzqqxx", "a"], *SPAN, 2), "search_text"),
        (
            "slices",
            ([1] * 4, [WEEK_START] * 4, [0, 1, 2, 3], [0] * 4, [8] * 4, [32, 39, 51], [1, 129, 1])
            + (WEEK_START, WEEK_START),
            "search_sig",
        ),
        ("segment_texts", (1, WEEK_START, 0, 160), "search_text"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_a_search_reads_by_index_and_in_its_week(
    filled: Pool, name: str, parameters: tuple[Any, ...], table: str
) -> None:
    read = await explained(filled, name, *parameters)
    scans = {each["Node Type"] for each in read if "Relation Name" in each}
    assert scans <= {"Index Scan", "Index Only Scan"}, scans
    touched = {each for each in tables(read) if "2026_11_16" in each}
    assert touched == {f"{table}_w2026_11_16"}
    if table != "search_tail":
        assert tables(read) == touched


async def test_verifying_a_block_reads_its_rows_and_no_others(filled: Pool) -> None:
    read = await explained(filled, "verify_one", 1, WEEK_START, [3], "zzqqxx", *SPAN)
    [scan] = [each for each in read if each.get("Relation Name") == "search_text_w2026_11_16"]
    assert scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) <= 16


async def test_verifying_many_blocks_reads_each_by_its_rows(filled: Pool) -> None:
    blocks = [segment * 1024 + block for segment in range(4) for block in range(20)]
    for name, parameters in (("verify_one", ("zzqqxx", *SPAN)), ("verify_many", (["zzqqxx", "e"], *SPAN, 2))):
        read = await explained(filled, name, 1, WEEK_START, blocks, *parameters)
        loops = [
            each["Actual Loops"] for each in read if each.get("Relation Name") == "search_text_w2026_11_16"
        ]
        assert loops[0] == len(blocks)


async def test_exchanges_of_a_filter_are_searched_by_their_ids(filled: Pool) -> None:
    async with filled.transaction(readonly=True) as connection:
        rows = await connection.fetch("SELECT id FROM exchanges ORDER BY id LIMIT 20")
    ids = [uuid.UUID(str(row["id"])) for row in rows]
    read = await explained(filled, "among", 1, ids, [WORD], 1, WEEK_START, WEEK_START)
    assert {each["Node Type"] for each in read if "Relation Name" in each} <= {
        "Index Scan",
        "Index Only Scan",
    }


async def test_a_new_weeks_texts_are_found_by_their_exchanges_before_autovacuum_comes_by(
    pool: Pool, ingest: Ingest
) -> None:
    records = exchanges(random.Random(9), 400)
    await ingest.deliver(records)
    await close(pool)
    ids = sorted(uuid.UUID(bytes=record.id) for record in records[:20])
    for name, parameters in (
        ("snippets", (1, ids, WEEK_START, WEEK_START, [WORD], 60)),
        ("among", (1, ids, [WORD], 1, WEEK_START, WEEK_START)),
        ("searched", (ids, ids[0], ids[-1], WEEK_START, WEEK_START)),
    ):
        read = [each for each in await explained(pool, name, *parameters) if "Index Name" in each]
        indexes = {each["Index Name"] for each in read if each["Relation Name"].startswith("search_text")}
        assert indexes == {"search_text_w2026_11_16_project_id_exchange_id_idx"}, name


async def test_of_a_long_tail_no_more_is_counted_than_is_asked_for(filled: Pool) -> None:
    weeks = [period_of("week", WEEK_START + datetime.timedelta(days=7 * each)) for each in range(-1, 2)]
    spans = ([each.first_id for each in weeks], [each.end_id for each in weeks])
    async with filled.maintenance() as connection:
        # A second project says less, a third nothing.
        await connection.execute("INSERT INTO projects (name) VALUES ('second'), ('third')")
        second = await connection.fetchval("SELECT id FROM projects WHERE name = 'second'")
        said = "SELECT exchange_id, message, folded FROM search_tail WHERE project_id = 1 LIMIT 7"
        await connection.execute(
            f"INSERT INTO search_tail (project_id, exchange_id, message, folded) SELECT {second}, * FROM ({said})"
        )
    async with filled.transaction(readonly=True) as connection:
        counts = await connection.fetch(statements("search")["waiting"], *spans, 20)
        every = await connection.fetch(statements("search")["waiting"], *spans, 1 << 40)
        held = await connection.fetchrow(
            "SELECT count(*), sum(octet_length(folded)) FROM search_tail WHERE project_id = 1"
        )
    assert {(row["number"], row["project_id"], row["texts"]) for row in counts} == {
        (2, 1, 20),
        (2, second, 7),
    }
    assert held is not None and held[0] > 100
    assert (held[0], held[1]) in {(row["texts"], row["size_bytes"]) for row in every}
    read = await explained(filled, "waiting", *spans, 20)
    rows = sum(each["Actual Rows"] * each["Actual Loops"] for each in read if "Index Name" in each)
    assert rows < 50 and not [each for each in read if each["Node Type"] == "Seq Scan"]
