"""A record of many exchanges in a database that may be kept: made as the recorder makes it, searchable as the builder
makes it."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.clock import utc_now
from app.store.database.embedded import EmbeddedPostgres
from app.store.database.pool import Pool
from app.store.search.building import Builder
from app.store.writing.ingest import Ingest
from app.store.writing.record import Record
from bench import corpus

BATCH = 500
SAMPLE = 20_000
SETTINGS = {"synchronous_commit": "off", "max_wal_size": "4GB"}
MEMORY_SHARE = 4
"""PostgreSQL gets a quarter of the memory, as its manual advises."""
WARM_UP = """
SELECT pg_prewarm(oid, CASE WHEN is_last THEN 'buffer' ELSE 'read' END) FROM (
    SELECT c.oid, c.relkind = 'i' OR coalesce(o.relname, c.relname) ~ '^(search|usage)_' AS is_last
    FROM pg_class AS c LEFT JOIN pg_class AS o ON o.reltoastrelid = c.oid
    WHERE c.relkind IN ('r', 't', 'i') AND c.relnamespace IN ('public'::regnamespace, 'pg_toast'::regnamespace)
    ORDER BY is_last, c.oid
) AS x
"""
TABLES = (
    "exchanges",
    "transcripts",
    "pieces",
    "messages",
    "search_tail",
    "search_text",
    "search_segments",
    "search_sig",
)

Said = tuple[uuid.UUID, str]
"""An exchange, and something that it says."""


@contextmanager
def database(folder: Path | None) -> Iterator[str]:
    """The URL of a server of its own, in a folder that is kept, or in one that is removed."""
    kept = folder
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="verbatim-query-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    memory_megabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    server = EmbeddedPostgres(folder, SETTINGS | {"shared_buffers": f"{memory_megabytes // MEMORY_SHARE}MB"})
    try:
        yield server.start()
    finally:
        server.stop()
        if kept is None:
            shutil.rmtree(folder)


def kept_sample(folder: Path | None) -> list[Said] | None:
    """What was said in a database that is loaded; None where it is not."""
    file = folder / "sample.json" if folder is not None else None
    if file is None or not file.exists():
        return None
    return [(uuid.UUID(each), text) for each, text in json.loads(file.read_text())]


def keep_sample(folder: Path | None, sample: list[Said]) -> None:
    """Says that the database is loaded."""
    if folder is not None:
        (folder / "sample.json").write_text(json.dumps([(str(each), text) for each, text in sample]))


async def load(pool: Pool, rows: int) -> list[Said]:
    """Records all; gives some of what was said, with the exchange that says it."""
    ingest, builder = Ingest(pool, uuid.UUID(int=1)), Builder(pool)
    chance = random.Random(2)
    sample: list[Said] = []
    begun, closed = time.monotonic(), 0
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
            closed += await builder.run_once(batch[-1][0].started_at)
            _progress((number + 1) * BATCH, rows, begun)
    closed += await builder.run_once(utc_now())
    seconds = time.monotonic() - begun
    print(
        f"{rows:,} exchanges loaded in {seconds:.0f} s, with making them; {closed} segments closed",
        flush=True,
    )
    async with pool.maintenance() as connection:
        await connection.execute("VACUUM ANALYZE")
    return sample


async def warm_up(pool: Pool) -> None:
    """Reads all into memory, as far as it goes; what searches read last, so that it stays."""
    async with pool.maintenance() as connection:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        await connection.execute(WARM_UP)


async def print_sizes(pool: Pool) -> None:
    """What the tables take, a line each."""
    query = (
        "SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_partition_tree($1::text::regclass)"
    )
    async with pool.transaction(readonly=True) as connection:
        for table in TABLES:
            print(f"{table:16} {int(await connection.fetchval(query, table)) / 1e6:10.1f} MB")


def _batched(
    made: Iterator[tuple[Record, list[str]]],
) -> Iterator[tuple[tuple[Record, list[str]], ...]]:
    while batch := tuple(itertools.islice(made, BATCH)):
        yield batch


def _progress(done: int, rows: int, begun: float) -> None:
    rate = done / (time.monotonic() - begun)
    left = max(0, rows - done) / rate
    print(f"\r{done:,} of {rows:,}, {rate:,.0f}/s, {left:.0f} s left  ", end="", file=sys.stderr, flush=True)
