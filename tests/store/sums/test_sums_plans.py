"""Sums of a day are read by their index, and by one helper at most where all are read."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from app.store.database.pool import Pool
from app.store.statements import statements

DAY = datetime.date(2026, 10, 1)
NOON = datetime.datetime(2026, 10, 1, 12, tzinfo=datetime.UTC)
ROWS_A_DAY = 500
COUNTS = (
    "exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens"
)
FILL = f"""
INSERT INTO usage_daily (project_id, day, model, key, {COUNTS}, duration_histogram, ttft_histogram)
SELECT 1, DATE '2026-09-01' + d, 'm' || m, 'k' || k, 1, 1, 1, 1, 1, 1, 1, 1, 1
FROM generate_series(0, 59) AS d, generate_series(1, 50) AS m, generate_series(1, 10) AS k;
INSERT INTO usage_hourly (project_id, hour, model, key, {COUNTS}, duration_histogram, ttft_histogram)
SELECT 1, TIMESTAMPTZ '2026-09-01 12:00Z' + d * interval '1 day', 'm' || m, 'k' || k, 1, 1, 1, 1, 1, 1, 1, 1, 1
FROM generate_series(0, 59) AS d, generate_series(1, 50) AS m, generate_series(1, 10) AS k;
INSERT INTO usage_daily_users (project_id, day, end_user, model, {COUNTS})
SELECT 1, DATE '2026-09-01' + d, 'u' || u, 'm', 1, 1, 1, 1, 1, 1, 1
FROM generate_series(0, 59) AS d, generate_series(1, 500) AS u;
ANALYZE usage_daily, usage_hourly, usage_daily_users;
"""
FILTERS: tuple[None, ...] = (None, None, None, None)
HOUR, ONE_DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
DAYS = ((NOON,) * 6, (DAY, DAY + ONE_DAY, *(DAY,) * 6))
HOURS = ((NOON, NOON + HOUR, *(NOON,) * 4), (DAY,) * 8)


@pytest.mark.parametrize(
    ("name", "table", "parameters"),
    [
        ("sums", "usage_daily", (*DAYS, [1], *FILTERS, "day", "key", True, 1_001, [], [])),
        ("sums", "usage_hourly", (*HOURS, [1], *FILTERS, "hour", "key", True, 1_001, [], [])),
        ("users", "usage_daily_users", (DAY, DAY + ONE_DAY, [1], None, None, "day", "user", 1_001)),
    ],
    ids=lambda each: each if isinstance(each, str) and each != "sums" else "",
)
async def test_sums_of_a_day_are_read_by_their_index_and_no_others(
    pool: Pool, name: str, table: str, parameters: tuple[Any, ...]
) -> None:
    async with pool.maintenance() as connection:
        await connection.execute(FILL)
    sql = statements("stats")
    async with pool.transaction(readonly=True) as connection:
        await connection.execute(sql["limit_adding"])
        for _ in range(6):
            await connection.fetch(sql[name], *parameters)
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql[name]}", *parameters)
        assert int(await connection.fetchval("SHOW max_parallel_workers_per_gather")) <= 1
    [top] = json.loads(explained)
    todo, read = [top["Plan"]], []
    while todo:
        node = todo.pop()
        todo += node.get("Plans", [])
        read += [node] if node.get("Relation Name") == table else []
    assert {node["Node Type"] for node in read} <= {"Index Scan", "Bitmap Heap Scan"}
    rows = sum(node["Actual Rows"] * node["Actual Loops"] for node in read)
    assert rows + sum(node.get("Rows Removed by Filter", 0) for node in read) == ROWS_A_DAY
