"""A real recorder keeps the record to its limits: the oldest week of content goes, once, and its rows stay."""

from __future__ import annotations

import asyncio
import datetime
import os
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.clock import utc_now
from app.store.database.partitions import Partition, Partitions
from app.store.database.pool import Pool
from app.store.filters.filter import Filter
from app.store.reading.query import Query
from app.store.writing.ingest import Ingest
from tests.postgres import PostgresServer
from tests.product import running_product
from tests.store.search.corpus import saying

GIGABYTE = 10**9
DAY_NS = 86_400 * 10**9
RECORDER = uuid.UUID("01890000-0000-7000-8000-000000000001")


async def weeks_of(pool: Pool) -> dict[datetime.date, list[Partition]]:
    """Partitions of pieces by their first day."""
    found: dict[datetime.date, list[Partition]] = {}
    for each in await Partitions(pool).listing():
        if each.table in ("pieces", "search_tail", "transcripts"):
            found.setdefault(each.period.first_day, []).append(each)
    return found


def grow(server: PostgresServer, url: str, table: str) -> None:
    """Makes a table a gigabyte large by a hole in its file, which takes no room."""
    folder = Path(server.psql(url, "SHOW data_directory"))
    path = folder / server.psql(url, f"SELECT pg_relation_filepath('{table}')")
    if not os.access(path, os.W_OK):
        pytest.skip("the files of this database server are not this machine's")
    os.truncate(path, GIGABYTE // 8192 * 8192)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    made = Pool(database_url)
    yield made
    await made.close()


@pytest.mark.parametrize("setting", ["store_max_gb", "keep_content_days"])
async def test_a_limit_drops_the_oldest_week_of_content_once(
    setting: str, pool: Pool, database_url: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    now_ns = int(utc_now().timestamp()) * 10**9
    sent = [saying(f"word{at}", at_ns=now_ns - at * 14 * DAY_NS) for at in range(3)]
    await Ingest(pool, RECORDER).deliver(sent)
    first, *others = sorted(await weeks_of(pool))[:3]
    oldest = (await weeks_of(pool))[first]
    if setting == "store_max_gb":
        grow(postgres_server, database_url, next(each.name for each in oldest if each.table == "pieces"))
    options: dict[str, Any] = {setting: 1 if setting == "store_max_gb" else 20, "database_url": database_url}
    for _ in range(2):  # what is done is not done again
        async with running_product(tmp_path / "data", "record", wait_for="none", **options) as product:
            deadline = time.monotonic() + 60
            while first in await weeks_of(pool):
                assert time.monotonic() < deadline, product.tail()
                await asyncio.sleep(0.2)
            await asyncio.sleep(2.0)
    assert set(others) <= set(await weeks_of(pool))
    lines = [line for line in product.log.read_text().splitlines() if "retention_dropped" in line]
    assert len(lines) == 1
    assert all(each.name in lines[0] for each in oldest)
    query = Query(pool)
    listed = (await query.list_exchanges(Filter(), 10, None, "asc")).exchanges
    assert [each.request_preview is None for each in listed] == [True, False, False]
    assert await query.request_body(listed[0].id) is None
    assert await query.request_body(listed[1].id) is not None
    found = (await query.list_exchanges(Filter(q="word"), 10, None, "asc")).exchanges
    assert [each.id for each in found] == [each.id for each in listed[1:]]
