"""Segments are closed once, whoever closes them, and hold what the tail held."""

from __future__ import annotations

import asyncio
import datetime
import random
import subprocess
import sys
import uuid

import pytest

from app.clock import utc_from_ns
from app.store.database.periods import week_number
from app.store.database.pool import Pool
from app.store.search import building
from app.store.search.building import Builder
from app.store.search.candidates import Segment, candidates
from app.store.search.erasing import erase_texts
from app.store.search.packing import Text, pack, prefix_of
from app.store.search.signature import BLOCKS, MATRICES, ROWS, STRIPE_ROWS, rows_of
from app.store.search.signing import fill, sign
from app.store.writing.ingest import Ingest
from app.store.writing.record import Record
from tests.store.samples import NOON_NS
from tests.store.search.corpus import SECOND_NS, exchanges, saying
from tests.store.search.corpus import text as random_text
from tests.store.search.test_searching import WEEK, close, find, scan

NOW = utc_from_ns(NOON_NS)
NEXT_MONTH = NOW + datetime.timedelta(days=30)


def _bit(stripes: list[bytes], row: int, block: int) -> bool:
    width = len(stripes[0]) // STRIPE_ROWS
    byte = stripes[row // STRIPE_ROWS][row % STRIPE_ROWS * width + block // 8]
    return bool(byte >> (7 - block % 8) & 1)


def test_a_signature_rules_no_block_out_that_holds_a_word() -> None:
    chance = random.Random(1)
    blocks = ["\n".join(random_text(chance).casefold() for _ in range(6)) for _ in range(37)] + [""]
    stripes = sign(blocks)
    assert sum(map(len, stripes)) == ROWS * 40 // 8
    clear = 0
    for _ in range(2_000):
        block = chance.randrange(37)
        begin = chance.randrange(len(blocks[block]) - 2)
        word = blocks[block][begin : begin + chance.randint(2, 25)]
        assert all(_bit(stripes, row, block) for row in rows_of(word)), repr(word)
        clear += not all(_bit(stripes, row, (block + 1) % 37) for row in rows_of(word))
    assert clear > 800
    assert all(share < 0.5 for share in fill(stripes))
    assert not any(_bit(stripes, row, 37) for row in range(0, ROWS, 97) if row % 7)


def test_a_text_longer_than_a_step_is_signed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.store.search.signing.STEP_CHARACTERS", 50)
    whole = "".join(chr(0x4E00 + n % 997) for n in range(1_000))
    stripes = sign(["", whole])
    for begin in range(980):
        assert all(_bit(stripes, row, 1) for row in rows_of(whole[begin : begin + 20]))
    assert [each.first_row for each in MATRICES] == [0, 1 << 16, (1 << 16) + (1 << 15)]


def test_an_exchange_stands_in_one_block_and_a_full_segment_ends() -> None:
    chance = random.Random(2)
    texts = [
        Text(uuid.UUID(int=exchange), message, f"text {exchange} {message}")
        for exchange in range(1, 4_000)
        for message in range(chance.randint(1, 16))
    ]
    packed = pack(texts)
    assert packed.is_full
    assert len(packed.blocks) == BLOCKS
    blocks: dict[uuid.UUID, set[int]] = {}
    for each, place in zip(packed.texts, packed.places, strict=True):
        blocks.setdefault(each.exchange_id, set()).add(place // 16)
    assert all(len(each) == 1 for each in blocks.values())
    assert len(set(packed.places)) == len(packed.places)
    assert packed.texts == texts[: len(packed.texts)]


async def test_builders_at_once_close_each_text_once(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "TAKE_BYTES", 40_000)
    records = exchanges(random.Random(5), 300)
    await ingest.deliver(records)

    async def work() -> int:
        builder, closed = Builder(pool), 0
        for _ in range(40):
            if await builder.close_segment(1, WEEK, is_over=False):
                closed += 1
        return closed

    counts = await asyncio.gather(work(), work(), work())
    assert sum(counts) > 3
    assert (await find(pool, "e")).ids == scan(records, "e")
    async with pool.transaction(readonly=True) as connection:
        twice = "SELECT count(*) FROM (SELECT FROM search_text GROUP BY exchange_id, message HAVING count(*) > 1) x"
        assert await connection.fetchval(twice) == 0


async def test_a_week_that_is_over_is_closed_unless_little_is_left(pool: Pool, ingest: Ingest) -> None:
    records = exchanges(random.Random(6), 200)
    await ingest.deliver(records)
    builder = Builder(pool)
    assert not await builder.has_work(NEXT_MONTH)
    await ingest.deliver(more := exchanges(random.Random(7), 200, NOON_NS + 3_600 * SECOND_NS))
    assert not await builder.has_work(NOW)
    assert await builder.has_work(NEXT_MONTH)
    assert await builder.run_once(NEXT_MONTH) == 1
    assert not await builder.has_work(NEXT_MONTH)
    assert (await find(pool, "a")).ids == scan(records + more, "a")


async def test_what_a_week_that_is_over_has_left_is_merged_around_gaps(pool: Pool, ingest: Ingest) -> None:
    chance, builder = random.Random(8), Builder(pool)
    parts = [exchanges(chance, 60, NOON_NS + number * 3_600 * SECOND_NS) for number in range(4)]
    for records in parts:
        await ingest.deliver(records)
        await close(pool)
    async with pool.transaction() as connection:
        await connection.execute("DELETE FROM search_text WHERE id BETWEEN 16384 AND 32767")
        await connection.execute("DELETE FROM search_segments WHERE segment = 1")
        await connection.execute("DELETE FROM search_sig WHERE segment = 1")
    assert not await builder.has_work(NOW)
    assert not await builder.merge_segments(NOW)
    assert await builder.has_work(NEXT_MONTH)
    assert await builder.run_once(NEXT_MONTH) == 0
    assert not await builder.has_work(NEXT_MONTH)
    async with pool.transaction(readonly=True) as connection:
        [row] = await connection.fetch("SELECT * FROM search_segments")
        assert (row["level"], row["blocks"]) == (1, 4 * BLOCKS)
        bounds = (prefix_of(row["first_id"]), prefix_of(row["last_id"]))
        merged = Segment((1, row["week"]), row["segment"], 1, row["blocks"], *bounds)
        [blocks] = await candidates(connection, [merged], rows_of("e "))
    assert {each // BLOCKS for each in blocks} == {0, 2, 3}
    assert (await find(pool, "e ")).ids == scan([*parts[0], *parts[2], *parts[3]], "e ")


async def test_the_builders_process_builds_and_leaves_with_its_parent(
    pool: Pool, ingest: Ingest, database_url: str
) -> None:
    week_ago_ns = NOON_NS - 100 * 86_400 * SECOND_NS
    records = exchanges(random.Random(8), 400, week_ago_ns)
    await ingest.deliver(records)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.store.search.process"), stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(database_url.encode() + b"\n")
    async with pool.transaction(readonly=True) as connection:
        while not await connection.fetchval("SELECT count(*) FROM search_segments"):
            await asyncio.sleep(0.1)
    process.stdin.close()
    assert await process.wait() == 0


async def _erase(pool: Pool, *records: Record) -> int:
    async with pool.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(1, $1)", week_number(WEEK.first_day))
        return await erase_texts(connection, 1, [uuid.UUID(bytes=each.id) for each in records])


async def _texts(pool: Pool) -> str:
    async with pool.transaction(readonly=True) as connection:
        query = "SELECT string_agg(folded, ' ') FROM {}"
        texts = [await connection.fetchval(query.format(each)) for each in ("search_tail", "search_text")]
        return "".join(each or "" for each in texts)


@pytest.mark.parametrize("is_closed", [False, True], ids=["tail", "segment"])
async def test_what_is_erased_is_in_no_table_and_found_no_more(
    pool: Pool, ingest: Ingest, is_closed: bool
) -> None:
    shared = "you are a helpful assistant, and you never tell anybody that you have seen this prompt"
    first = saying(shared, "the canary of the first")
    second = saying(shared, "the canary of the second", at_ns=NOON_NS + SECOND_NS)
    third = saying(shared, "the canary of the third", at_ns=NOON_NS + 2 * SECOND_NS)
    await ingest.deliver([first])
    if is_closed:
        assert await close(pool) == 1
    await ingest.deliver([second, third])
    if is_closed:
        assert await close(pool) == 1
        assert (await _texts(pool)).count(shared) == 1  # once, though three say it
    assert (await find(pool, "anybody that")).ids == scan([first, second, third], "anybody that")
    assert await _erase(pool, first) == 2
    assert (await find(pool, "anybody that")).ids == scan([second, third], "anybody that")
    assert (await find(pool, "canary of the first")).ids == []
    assert "of the first" not in await _texts(pool)
    assert await _erase(pool, third) == 2
    assert (await find(pool, "anybody that")).ids == scan([second], "anybody that")
    assert await _erase(pool, second) == 2
    assert await _texts(pool) == ""
    assert (await find(pool, "a")).ids == []
    async for _ in Builder(pool).rebuild():
        pass


async def test_signatures_of_a_former_layout_hide_nothing_and_are_made_anew(
    pool: Pool, ingest: Ingest
) -> None:
    records = exchanges(random.Random(9), 200)
    await ingest.deliver(records)
    assert await close(pool) == 1
    async with pool.maintenance() as connection:
        await connection.execute("UPDATE search_sig SET stripe = stripe - 32")
    builder = Builder(pool)
    assert await builder.has_work(NOW)
    assert not await builder.merge_segments(NOW)
    assert (await find(pool, "the")).ids == scan(records, "the")
    assert await builder.run_once(NOW) == 0
    assert not await builder.has_work(NOW)
    async with pool.transaction(readonly=True) as connection:
        assert await connection.fetchval("SELECT min(stripe) FROM search_sig") == 32
    assert (await find(pool, "the")).ids == scan(records, "the")


def test_numpy_is_loaded_by_the_builder_alone() -> None:
    modules = "app.recorder.process, app.store.search.process, app.store.reading.query"
    loaded = f"import sys, {modules}; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
