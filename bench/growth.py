"""How much a record of agent runs takes in PostgreSQL, against the bytes of their requests; every body is read back.

    python -m bench.growth [--runs 100] [--turns 50] [--stream]

A hundred runs go on side by side, turn by turn, through a journal and a recorder; sizes are those of all tables and
indexes but those of search. The last line says whether turns 91 to 100 add what turns 6 to 15 added, where there are
as many.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from app.clock import new_id, wall_ns
from app.exchange import KeptHeaders
from app.journal.writer import JournalRules, JournalWriter
from app.recorder.process import RecorderOptions, run_recorder
from app.recorder.status import RecorderStatus
from app.store.database.embedded import EmbeddedPostgres
from app.store.database.migrate import upgrade
from app.store.database.pool import Pool
from app.store.reading.query import Query
from bench.agents import AgentRuns, Call
from bench.frames import Written, write

_SIZES = """
SELECT coalesce(parent.relname, c.relname) AS name, pg_relation_size(c.oid) AS table_bytes,
    pg_total_relation_size(c.oid) AS bytes
FROM pg_class AS c
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""
_SEARCH = "search_"
_ASKED = [
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-package-version", b"3.54.0"),
    (b"x-stainless-runtime", b"CPython"),
    (b"x-stainless-retry-count", b"0"),
]


@dataclass
class Growth:
    """What the runs took."""

    request_bytes: int = 0
    exchanges: int = 0
    tables: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Bytes of the table alone, and with its indexes and TOAST, by name."""
    after_turns: list[int] = field(default_factory=list)
    """Bytes of everything but search, after each turn of all runs."""
    differing: int = 0
    """Bodies that did not come back."""

    @property
    def ratio(self) -> float:
        """By how much the record is smaller than the requests."""
        return self.request_bytes / max(1, self.after_turns[-1] - self.after_turns[0])

    def added(self, first: int, last: int) -> int:
        """Bytes that these turns added, counted from 1, both with."""
        return self.after_turns[last] - self.after_turns[first - 1]


async def grow(
    folder: Path, url: str, runs: int, turns: int, *, stream: bool = False, at_once: int = 1
) -> Growth:
    """Records the runs in this database, so many turns at once, and reads everything back."""
    maker = AgentRuns()
    growth = Growth()
    digests: dict[uuid.UUID, tuple[bytes, bytes]] = {}
    every = [maker.run(number, turns, stream=stream) for number in range(runs)]
    await _sizes(url, growth)
    for _ in range(0, turns, at_once):
        calls = [next(each) for _ in range(at_once) for each in every]
        digests.update(_write(folder, calls, stream=stream))
        stop = asyncio.Event()
        stop.set()
        await run_recorder(RecorderOptions(folder, url, "bench", drain_seconds=300), stop, RecorderStatus())
        growth.request_bytes += sum(len(each.request) for each in calls)
        growth.exchanges += len(calls)
        await _sizes(url, growth, at_once)
    growth.differing = await _differing(url, digests)
    return growth


def _write(folder: Path, calls: Sequence[Call], *, stream: bool) -> dict[uuid.UUID, tuple[bytes, bytes]]:
    writer = JournalWriter(folder, 0, "bench", JournalRules(fsync="off"))
    writer.open()
    digests = {}
    for call in calls:
        exchange_id = new_id(wall_ns())
        pieces = call.answer.splitlines(keepends=True) if stream else [call.answer]
        write(writer, exchange_id, Written(call.request, pieces, _ASKED, _told(exchange_id, stream=stream)))
        digests[uuid.UUID(bytes=exchange_id)] = (_sha256(call.request), _sha256(call.answer))
    writer.close()
    return digests


def _told(exchange_id: bytes, *, stream: bool) -> KeptHeaders:
    """A head as OpenAI's, with what differs from answer to answer."""
    number = int.from_bytes(exchange_id[-6:])
    return [
        (b"Date", b"Wed, 18 Nov 2026 12:%02d:%02d GMT" % (number % 60, number % 59)),
        (b"Content-Type", b"text/event-stream; charset=utf-8" if stream else b"application/json"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"keep-alive"),
        (b"openai-organization", b"an-organization"),
        (b"openai-processing-ms", b"%d" % (number % 9_000)),
        (b"openai-version", b"2020-10-01"),
        (b"x-ratelimit-limit-requests", b"30000"),
        (b"x-ratelimit-limit-tokens", b"150000000"),
        (b"x-ratelimit-remaining-requests", b"%d" % (29_000 + number % 999)),
        (b"x-ratelimit-remaining-tokens", b"%d" % (149_900_000 + number % 99_999)),
        (b"x-ratelimit-reset-requests", b"2ms"),
        (b"x-ratelimit-reset-tokens", b"0s"),
        (b"x-request-id", b"req_" + exchange_id.hex().encode()),
        (b"Server", b"cloudflare"),
        (b"CF-RAY", exchange_id[-8:].hex().encode() + b"-FRA"),
    ]


async def _sizes(url: str, growth: Growth, turns: int = 1) -> None:
    connection = await asyncpg.connect(url)
    tables: dict[str, tuple[int, int]] = {}
    for row in await connection.fetch(_SIZES):
        table_bytes, total_bytes = tables.get(row["name"], (0, 0))
        tables[row["name"]] = (table_bytes + row["table_bytes"], total_bytes + row["bytes"])
    await connection.close()
    growth.tables = tables
    growth.after_turns += [_bytes_of(tables, is_search=False)] * turns


def _bytes_of(tables: dict[str, tuple[int, int]], *, is_search: bool) -> int:
    """Bytes of the record, or of what makes it searchable, which is judged apart."""
    return sum(
        total_bytes for name, (_, total_bytes) in tables.items() if name.startswith(_SEARCH) == is_search
    )


async def _differing(url: str, digests: dict[uuid.UUID, tuple[bytes, bytes]]) -> int:
    pool = Pool(url)
    query = Query(pool)
    differing = 0
    for exchange_id, wanted in digests.items():
        bodies = (await query.request_body(exchange_id), await query.response_body(exchange_id))
        for body, sha256 in zip(bodies, wanted, strict=True):
            read = b"".join([chunk async for chunk in body.chunks]) if body is not None else b""
            differing += _sha256(read) != sha256
    await pool.close()
    return differing


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _report(growth: Growth) -> None:
    print(
        f"{growth.exchanges} exchanges, {growth.request_bytes:,} bytes of requests, 1/{growth.ratio:.1f} of them stored"
    )
    print(f"{growth.differing} bodies differ from the wire")
    search_bytes = _bytes_of(growth.tables, is_search=True)
    print(f"search takes {search_bytes:,} bytes more, 1/{growth.request_bytes / max(1, search_bytes):.1f}")
    for name, (table_bytes, total_bytes) in sorted(growth.tables.items(), key=lambda item: -item[1][1]):
        if total_bytes >= growth.exchanges * 10:
            print(
                f"{name:20} {total_bytes / growth.exchanges:7.0f} bytes an exchange,"
                f" {table_bytes / growth.exchanges:7.0f} in the table itself"
            )
    if len(growth.after_turns) > 100:
        early, late = growth.added(6, 15), growth.added(91, 100)
        print(f"turns 6 to 15 added {early:,} bytes, 91 to 100 {late:,}: {late / early:.2f} times as much")


def main() -> None:
    """Measures in a database of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--stream", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verbatim-growth-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        postgres = EmbeddedPostgres(folder, {"fsync": "off"})
        url = postgres.start()
        try:
            asyncio.run(upgrade(url))
            _report(
                asyncio.run(grow(folder / "journal", url, options.runs, options.turns, stream=options.stream))
            )
        finally:
            postgres.stop()


if __name__ == "__main__":
    main()
