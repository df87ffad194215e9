"""Loads a record, asks it, and prints p50 and p95 of each kind of question."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.clock import utc_now
from app.store import migrate
from app.store.embedded import EmbeddedPostgres
from app.store.filter import Filter
from app.store.ingest import Ingest
from app.store.pool import Pool
from app.store.query import Query
from app.store.record import Record
from app.store.search.building import Builder
from app.store.search.searching import Search, Wanted
from app.store.search.terms import Terms
from bench import corpus

BATCH = 500
SIZES = (2, 3, 5, 10, 20)
SAMPLE = 20_000
SETTINGS = {"shared_buffers": "2GB", "synchronous_commit": "off", "max_wal_size": "8GB"}


def run(arguments: list[str]) -> int:
    """The command line; gives the exit code: 1 where a substring did not find its exchange."""
    parser = argparse.ArgumentParser(description="How fast the record answers.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="exchanges to load")
    parser.add_argument("--runs", type=int, default=100, help="questions of each kind")
    parser.add_argument("--substrings", type=int, default=10_000, help="random substrings that must be found")
    parser.add_argument("--url", help="an empty database; one is made, and removed, where it is left out")
    given = parser.parse_args(arguments)
    with _database(given.url) as url:
        return asyncio.run(_run(url, given.rows, given.runs, given.substrings))


@contextmanager
def _database(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="verbatim-query-"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder, SETTINGS)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder)


async def _run(url: str, rows: int, runs: int, substrings: int) -> int:
    await migrate.upgrade(url)
    pool = Pool(url, size=2)
    sample = await _load(pool, rows)
    await _sizes(pool)
    chance = random.Random(1)
    query = Query(pool)
    for kind, make in _questions(chance, sample).items():
        await _ask(query, kind, [make() for _ in range(runs)])
    missed = await _missed(pool, chance, sample, substrings)
    print(
        f"random substrings of 2 to 20 characters: {substrings - missed} of {substrings} find their exchange"
    )
    await pool.close()
    return 1 if missed else 0


async def _load(pool: Pool, rows: int) -> list[tuple[uuid.UUID, str]]:
    """Records all; gives some of what was said, with the exchange that says it."""
    ingest, builder = Ingest(pool, uuid.UUID(int=1)), Builder(pool)
    chance = random.Random(2)
    sample: list[tuple[uuid.UUID, str]] = []
    begun, built, closed = time.monotonic(), 0.0, 0
    made = corpus.exchanges(rows, 7, int(utc_now().timestamp() * 1e9))
    for number, batch in enumerate(_batched(made)):
        await ingest.deliver([record for record, _ in batch])
        for record, said in batch:
            for text in said:
                if len(sample) < SAMPLE:
                    sample.append((uuid.UUID(bytes=record.id), text))
                elif chance.random() < SAMPLE / (2 * rows):
                    sample[chance.randrange(SAMPLE)] = (uuid.UUID(bytes=record.id), text)
        if number % 20 == 0:
            cpu = time.process_time()
            closed += await builder.run_once(batch[-1][0].started_at)
            built += time.process_time() - cpu
    cpu = time.process_time()
    closed += await builder.run_once(utc_now())
    built += time.process_time() - cpu
    seconds = time.monotonic() - begun
    print(
        f"{rows} exchanges loaded in {seconds:.0f} s, with making them; {closed} segments closed by the builder"
    )
    share = built / rows * 500 * 100
    print(f"builder: {built / rows / 2 * 1e6:.0f} µs of CPU a message, {share:.1f} % of a core at 500/s")
    async with pool.maintenance() as connection:
        await connection.execute("ANALYZE")
    return sample


def _batched(
    made: Iterator[tuple[Record, list[str]]],
) -> Iterator[tuple[tuple[Record, list[str]], ...]]:
    while batch := tuple(itertools.islice(made, BATCH)):
        yield batch


async def _sizes(pool: Pool) -> None:
    async with pool.transaction(readonly=True) as connection:
        for table in (
            "exchanges",
            "transcripts",
            "pieces",
            "search_tail",
            "search_text",
            "search_segments",
            "search_sig",
        ):
            query = "SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_partition_tree($1::text::regclass)"
            print(f"{table:16} {int(await connection.fetchval(query, table)) / 1e6:10.1f} MB")


def _questions(chance: random.Random, sample: list[tuple[uuid.UUID, str]]) -> dict[str, Callable[[], Filter]]:
    def word(text: str) -> Callable[[], Filter]:
        return lambda: Filter(q=f'"{text}"')

    def piece(size: int, kind: Callable[[str], bool]) -> Callable[[], Filter]:
        def make() -> Filter:
            while True:
                _, text = chance.choice(sample)
                begin = chance.randrange(max(1, len(text) - size))
                found = text[begin : begin + size]
                if len(found) == size and '"' not in found and kind(found):
                    return Filter(q=f'"{found}"')

        return make

    questions: dict[str, Callable[[], Filter]] = {
        "page, newest": Filter,
        "page, a model": lambda: Filter(model=f"model-{chance.randrange(20)}"),
        "page, a user": lambda: Filter(user=f"user-{chance.randrange(corpus.USERS)}"),
        "q common word": word(corpus.COMMON),
        "q rare word": word(corpus.RARE),
        "q unique word": word(corpus.UNIQUE),
        "q absent word": word(corpus.ABSENT),
        "q rare 龙猫": word(corpus.RARE_CHINESE),
        "q absent 乒乓": word(corpus.ABSENT_CHINESE),
        "q two words": lambda: Filter(q=f"{corpus.RARE} {corpus.COMMON}"),
        "q word -word": lambda: Filter(q=f"{corpus.RARE} -{corpus.COMMON}"),
        "q + user": lambda: Filter(q=corpus.COMMON, user=f"user-{chance.randrange(corpus.USERS)}"),
        "q + model": lambda: Filter(q=corpus.RARE, model="model-0"),
    }
    for size in SIZES:
        questions[f"q ASCII, {size}"] = piece(size, str.isascii)
        questions[f"q Chinese, {size}"] = piece(
            size, lambda text: all("\u4e00" <= each <= "\u9fff" for each in text)
        )
        questions[f"q any, {size}"] = piece(size, bool)
    return questions


async def _ask(query: Query, kind: str, wanted: list[Filter]) -> None:
    times, slow, hits = [], 0, 0
    for each in wanted:
        begun = time.perf_counter()
        page = await query.list_exchanges(each, 20)
        times.append((time.perf_counter() - begun) * 1e3)
        slow += page.resume_after is not None
        hits += len(page.exchanges)
    times.sort()
    p50, p95 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 95 // 100)]
    late = f", {slow} over the budget" if slow else ""
    print(
        f"{kind:16} p50 {p50:8.1f}  p95 {p95:8.1f}  max {times[-1]:8.1f} ms, {hits / len(wanted):.1f} hits{late}",
        flush=True,
    )


async def _missed(pool: Pool, chance: random.Random, sample: list[tuple[uuid.UUID, str]], count: int) -> int:
    search = Search()
    missed = 0
    for _ in range(count):
        exchange_id, text = chance.choice(sample)
        size = chance.randint(2, 20)
        begin = chance.randrange(max(1, len(text) - size))
        words = Terms([text[begin : begin + size].casefold()])
        async with pool.transaction(readonly=True) as connection:
            wanted = Wanted(words, [1], exchange_id, uuid.UUID(int=exchange_id.int + 1), 1)
            found = await search.find(connection, wanted)
        if found.ids != [exchange_id]:
            missed += 1
            print(f"missed: {words.wanted[0]!r}")
    return missed
