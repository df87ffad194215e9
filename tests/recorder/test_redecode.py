"""Exchanges are read again from their kept bytes, and what is derived from them is made right."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from typing import Any

import pytest

from app.recorder.prices import Prices
from app.recorder.redecode import Progress, Redecoder
from app.store.database.pool import Pool
from app.store.sums.histogram import counted
from app.store.writing.ingest import Ingest
from app.store.writing.metadata import MetadataWriter
from app.store.writing.record import Record, Usage
from app.store.writing.redecoding import Redecoding
from tests.store.conftest import RECORDER
from tests.store.sums.test_groups import (
    DAYS_THAT_DIFFER,
    MODELS_THAT_DIFFER,
    ROUTES_THAT_DIFFER,
    TAGS_THAT_DIFFER,
    WEEKS_THAT_DIFFER,
)
from tests.store.talks import Clock, Talker

SINCE = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
UNTIL = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
async def pool(database_url: str) -> Any:
    pool = Pool(database_url)
    yield pool
    await pool.close()


@pytest.fixture
def ingest(pool: Pool) -> Ingest:
    return Ingest(pool, RECORDER)


def unread(record: Record) -> Record:
    """The same as a recorder kept it that could not read it."""
    assert record.content is not None
    content = dataclasses.replace(
        record.content, request_preview=None, response_preview=None, facts=None, chunk_times=[]
    )
    return dataclasses.replace(
        record,
        route="other",
        stream=False,
        capture_status="unreadable",
        model=None,
        upstream_id=None,
        usage=Usage(),
        talk=None,
        response_content_type="application/json",
        content=content,
    )


async def redecode(pool: Pool, *, dry_run: bool = False, stop_after: int | None = None) -> Progress:
    pages: list[Progress] = []
    async for each in Redecoder(Redecoding(pool), Prices()).run(SINCE, UNTIL, dry_run=dry_run):
        pages.append(each)
        if len(pages) == stop_after:
            break
    return pages[-1]


async def fetch(pool: Pool, sql: str) -> list[Any]:
    async with pool.transaction(readonly=True) as connection:
        return list(await connection.fetch(sql))


async def test_what_could_not_be_read_is_mended_with_its_sums_and_conversations(
    pool: Pool, ingest: Ingest
) -> None:
    talkers = [
        Talker(Clock(n * 10**12 + 1_795_000_000 * 10**9), [SYSTEM], changes={"tags": {"talk": f"{n % 2}"}})
        for n in range(3)
    ]
    records = [each.says(f"{n}, {turn}", f"{turn}") for turn in range(4) for n, each in enumerate(talkers)]
    await ingest.deliver([unread(each) for each in records])
    assert (await fetch(pool, "SELECT route, exchanges FROM usage_hourly"))[0]["route"] == "other"
    dry = await redecode(pool, dry_run=True)
    assert (dry.looked_at, dry.changed) == (12, 12)
    assert dry.columns["conversation"] == dry.columns["facts"] == dry.columns["route"] == 12
    assert {row["route"] for row in await fetch(pool, "SELECT route FROM exchanges")} == {"other"}
    done = await redecode(pool)
    assert (done.looked_at, done.changed, done.columns) == (12, 12, dry.columns)
    found = await fetch(pool, "SELECT * FROM exchanges JOIN transcripts USING (project_id, id) ORDER BY 2")
    assert {(row["route"], row["capture_status"], row["model"]) for row in found} == {
        ("chat/completions", "decoded", "gpt-4o")
    }
    assert all(row["request_preview"] and row["response_preview"] and row["facts"] for row in found)
    assert len({row["conversation_id"] for row in found}) == 3
    assert [row["exchanges"] for row in await fetch(pool, "SELECT exchanges FROM conversations")] == [4] * 3
    sums = await fetch(pool, "SELECT *, numeric_send(duration_histogram) AS durations FROM usage_hourly")
    assert {(row["route"], row["model"]) for row in sums} == {("chat/completions", "gpt-4o")}
    assert sum(row["exchanges"] for row in sums) == 12
    assert counted([[row["durations"] for row in sums]]).sum() == 12
    for wrong in (
        DAYS_THAT_DIFFER,
        WEEKS_THAT_DIFFER,
        MODELS_THAT_DIFFER,
        ROUTES_THAT_DIFFER,
        TAGS_THAT_DIFFER,
    ):
        [differing] = await fetch(pool, wrong)
        assert differing["count"] == 0
    assert await fetch(pool, "SELECT value FROM usage_daily_tags")
    again = await redecode(pool)
    assert (again.looked_at, again.changed, dict(again.columns)) == (12, 0, {})


async def test_a_run_that_was_stopped_goes_on_where_it_was(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.recorder.redecode.PAGE_ROWS", 5)
    talker = Talker(Clock(), [SYSTEM])
    await ingest.deliver([unread(talker.says(f"{turn}", f"{turn}")) for turn in range(12)])
    first = await redecode(pool, stop_after=1)
    assert first.changed == 5
    rest = await redecode(pool)
    assert (rest.looked_at, rest.changed) == (7, 7)
    assert await fetch(pool, "SELECT FROM meta WHERE key LIKE 'redecode%'") == []
    assert [row["exchanges"] for row in await fetch(pool, "SELECT exchanges FROM conversations")] == [12]


async def test_what_was_recorded_well_stays_as_it_is(pool: Pool, ingest: Ingest) -> None:
    talker = Talker(Clock(), [SYSTEM])
    record = unread(talker.says("Hello", "Hi"))
    await ingest.deliver([record])
    await redecode(pool)
    tables = ("exchanges", "transcripts", "conversations", "messages", "usage_hourly")
    before = [await fetch(pool, f"SELECT t::text FROM {each} AS t") for each in tables]
    assert (await redecode(pool)).changed == 0
    assert [await fetch(pool, f"SELECT t::text FROM {each} AS t") for each in tables] == before


async def test_metadata_that_was_set_stays_and_what_was_said_can_be_erased(
    pool: Pool, ingest: Ingest
) -> None:
    made = unread(Talker(Clock(), [SYSTEM]).says("Hello", "Hi"))
    await ingest.deliver([made])
    assert await MetadataWriter(pool).set(uuid.UUID(bytes=made.id), {"team": "red"})
    assert (await redecode(pool)).changed == 1
    [row] = await fetch(pool, "SELECT facts->'request'->'metadata' AS metadata, talk_tip FROM transcripts")
    assert row["metadata"] == '{"team": "red"}'
    assert [each["tip"] for each in await fetch(pool, "SELECT tip FROM messages")] == [row["talk_tip"]]
