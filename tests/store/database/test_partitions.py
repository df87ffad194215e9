"""Partitions: made once, dropped without stopping anybody, gone when they are too old."""

from __future__ import annotations

import asyncio
import datetime

import pytest

from app.errors import StoreUnavailableError
from app.store.database.partitions import TABLES, Partition, Partitions, period_named
from app.store.database.periods import period_of
from app.store.database.pool import Pool
from app.store.database.retention import Horizon, Retention
from app.store.writing.ingest import Ingest
from tests.store.samples import NOON_NS, talk

DAY = datetime.date(2026, 11, 18)
WEEKLY = sorted(name for name, unit in TABLES.items() if unit == "week")
NOW = datetime.datetime(2026, 11, 18, 12, tzinfo=datetime.UTC)


async def test_partitions_are_made_ahead_once_however_many_make_them(pool: Pool) -> None:
    made = await asyncio.gather(*(Partitions(pool).make_ahead(datetime.date(2026, 11, 25)) for _ in range(4)))
    names = [name for each in made for name in each]
    assert sorted(names) == sorted(set(names))
    assert sorted(names) == [
        *("exchanges_m2026_11", "exchanges_m2026_12"),
        *(f"{table}_w2026_11_{day}" for table in WEEKLY for day in (23, 30)),
    ]
    listed = await Partitions(pool).listing()
    assert sorted(each.name for each in listed) == sorted(names)
    assert all(each.attached and not each.detaching and each.size_bytes > 0 for each in listed)


async def test_a_partition_has_the_indexes_and_the_storage_of_its_table(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver([talk(b"a", b"b")])
    async with pool.transaction(readonly=True) as connection:
        for table, name in (("exchanges", "exchanges_m2026_11"), ("pieces", "pieces_w2026_11_16")):
            count = "SELECT count(*) FROM pg_index WHERE indrelid = $1::text::regclass AND indisvalid"
            assert await connection.fetchval(count, name) == await connection.fetchval(count, table)
        storage = (
            "SELECT attstorage FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = 'data'"
        )
        assert await connection.fetchval(storage, "pieces_w2026_11_16") == b"e"


async def test_a_drop_waits_for_no_reader_for_ever_and_is_finished_later(pool: Pool, ingest: Ingest) -> None:
    made = talk(b"a", b"b")
    await ingest.deliver([made])
    partitions = Partitions(pool)
    [exchanges] = [each for each in await partitions.listing() if each.table == "exchanges"]
    async with pool.transaction() as reader:
        await reader.execute("SELECT count(*) FROM exchanges")
        with pytest.raises(StoreUnavailableError):
            await partitions.drop(exchanges, attempts=1)
        # Others go on: they read, and they write to other months.
        await ingest.deliver([talk(b"c", b"d", at_ns=NOON_NS + 30 * 86_400 * 1_000_000_000)])
        await reader.execute("SELECT count(*) FROM exchanges")
    await partitions.drop(exchanges)
    assert [each.name for each in await partitions.listing() if each.table == "exchanges"] == [
        "exchanges_m2026_12"
    ]
    await partitions.drop(exchanges)


async def test_a_week_that_was_dropped_is_made_again_when_it_is_needed(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver([talk(b"a", b"b")])
    for each in await Partitions(pool).listing():
        await Partitions(pool).drop(each)
    made = talk(b"c", b"d")
    assert (await ingest.deliver([made])).recorded == {made.id}


async def test_retention_drops_whole_weeks_and_months_that_are_too_old(pool: Pool, ingest: Ingest) -> None:
    partitions = Partitions(pool)
    await partitions.make_for([DAY - datetime.timedelta(days=each) for each in (0, 10, 40)])
    gone = await Retention(partitions, Horizon(keep_content_days=9, keep_metadata_days=31)).run(NOW)
    assert gone == [f"{table}_w2026_{day}" for table in WEEKLY for day in ("10_05", "11_02")]
    later = NOW + datetime.timedelta(days=14)
    assert "exchanges_m2026_10" in await Retention(partitions, Horizon(None, 31)).run(later)
    left = {each.name for each in await partitions.listing()}
    assert left == {"exchanges_m2026_11", *(f"{table}_w2026_11_16" for table in WEEKLY)}


async def test_nothing_goes_where_nothing_was_asked(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver([talk(b"a", b"b")])
    assert await Retention(Partitions(pool), Horizon()).run(NOW + datetime.timedelta(days=9999)) == []


async def test_what_an_earlier_drop_left_detached_goes_too(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver([talk(b"a", b"b")])
    async with pool.maintenance() as connection:
        await connection.execute("ALTER TABLE pieces DETACH PARTITION pieces_w2026_11_16 CONCURRENTLY")
    assert await Retention(Partitions(pool), Horizon()).run(NOW) == ["pieces_w2026_11_16"]


def test_content_never_outlives_its_metadata() -> None:
    week = Partition(
        "pieces", "pieces_w2026_10_05", period_named("pieces", "pieces_w2026_10_05"), True, False, 0, 0
    )
    assert Horizon(keep_content_days=999, keep_metadata_days=30).is_past(week, NOW)
    assert week.period == period_of("week", datetime.date(2026, 10, 11))
    with pytest.raises(ValueError, match="no partition"):
        period_named("pieces", "pieces_old")
