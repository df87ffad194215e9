"""How much room is taken, and what goes when it is too much."""

from __future__ import annotations

import datetime

import pytest

from app.store.database.partitions import CONTENT_TABLES, Partition, Partitions, period_named
from app.store.database.pool import Pool
from app.store.database.retention import Horizon, Retention
from app.store.database.storage import StorageReader, storage_of
from app.store.writing.ingest import Ingest
from tests.store.samples import NOON_NS, talk

NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
WEEK_NS = 7 * 86_400 * 10**9


def part(table: str, suffix: str, size_bytes: int, rows: int = 0) -> Partition:
    name = f"{table}_{suffix}"
    return Partition(table, name, period_named(table, name), True, False, size_bytes, rows)


def test_weeks_and_months_are_added_up_by_kind() -> None:
    found = storage_of(
        [
            part("exchanges", "m2026_11", 700, 30),
            part("transcripts", "w2026_11_09", 100, 20),
            part("transcripts", "w2026_11_16", 50, 10),
            part("pieces", "w2026_11_16", 1_000),
            part("search_sig", "w2026_11_16", 8),
            part("pieces", "w2026_11_23", 16),
        ],
        rest_bytes=5,
        first=datetime.datetime(2026, 11, 13, tzinfo=datetime.UTC),
        now=NOW,
        limit_bytes=1_879 + 2 * 265,
    )
    assert found.bytes_by_kind == {"metadata": 700, "content": 1_166, "search": 8, "sums": 5}
    assert found.total_bytes == 1_879
    assert [each.first_day.day for each in found.weeks] == [23, 16, 9]
    assert found.weeks[1].bytes_by_kind == {"content": 1_050, "search": 8}
    assert [each.estimated_exchanges for each in found.weeks + found.months] == [0, 10, 20, 30]
    assert found.growth_bytes_a_day == round(1_158 / 7 + 700 / 7)
    assert found.limit_reached_at is not None
    assert found.limit_reached_at - NOW == pytest.approx(
        datetime.timedelta(days=2), abs=datetime.timedelta(hours=1)
    )


def test_a_limit_that_is_reached_is_reached_now_and_an_empty_record_never_reaches_it() -> None:
    full = storage_of([part("pieces", "w2026_11_16", 100)], 0, NOW - datetime.timedelta(hours=1), NOW, 10)
    assert full.limit_reached_at == NOW
    assert full.growth_bytes_a_day == 100
    empty = storage_of([part("pieces", "w2026_11_16", 100)], 0, None, NOW, 10**9)
    assert (empty.growth_bytes_a_day, empty.limit_reached_at) == (0, None)


async def test_the_oldest_weeks_of_content_go_until_all_is_small_enough(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver([talk(b"a%d" % n, b"b" * 99, at_ns=NOON_NS - n * WEEK_NS) for n in range(4)])
    partitions = Partitions(pool)
    weeks = sorted({each.period.first_day for each in await partitions.listing() if each.table == "pieces"})
    assert len(weeks) == 4
    assert await Retention(partitions, Horizon(max_bytes=1 << 40)).run(NOW) == []
    whole = await partitions.total_bytes()
    assert whole == (await StorageReader(pool).read(NOW)).total_bytes
    gone = await Retention(partitions, Horizon(max_bytes=whole - 1)).run(NOW)
    assert gone == [f"{table}_{weeks[0]:w%Y_%m_%d}" for table in sorted(CONTENT_TABLES)]
    gone = await Retention(partitions, Horizon(max_bytes=1)).run(NOW)
    assert {each[-10:] for each in gone} == {f"{week:%Y_%m_%d}" for week in weeks[1:3]}
    left = await partitions.listing()
    assert {each.period.first_day for each in left if each.table == "pieces"} == {weeks[3]}
    assert any(each.table == "exchanges" for each in left)
