"""Loads a record, asks it while another 500 exchanges a second are recorded, and prints p50 and p95 of each kind of
question beside what is allowed."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.store.database import migrate
from app.store.database.pool import Pool
from app.store.reading.query import Query
from app.store.search.searching import Search, Wanted
from app.store.search.terms import Terms
from bench import corpus, loading, machine, processes
from bench.loading import Said
from bench.questions import MANY, MILLION, TEN_MILLION, Ask, Kind, Questions

BUILDER = "app.store.search.process"
BUILDER_SHARE = 0.10
"""Of a core, while so much is recorded."""
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of question, answered."""

    name: str
    limit_ms: float | None
    p50_ms: float
    p95_ms: float
    most_ms: float
    hits: float
    late: int

    def cells(self) -> str:
        """As a row of the table."""
        late = f"{self.late} over the budget" if self.late else ""
        limit = "" if self.limit_ms is None else f"{self.limit_ms:.0f}"
        times = f"{self.p50_ms:.1f} | **{self.p95_ms:.1f}** | {limit} | {self.most_ms:.1f}"
        return f"| {self.name} | {times} | {self.hits:.1f} | {late} |"


@dataclass(slots=True)
class Report:
    """One run."""

    rows: int
    beside: int
    """Exchanges that were recorded each second meanwhile."""
    asked: list[Row] = field(default_factory=list)
    recorded: float = 0.0
    """Exchanges a second that were indeed recorded."""
    builder_share: float | None = None
    substrings: int = 0
    missed: int = 0

    def problems(self) -> list[str]:
        """What is slower than allowed, or was not found."""
        found = [
            f"{each.name}: p95 {each.p95_ms:.1f} ms, {each.limit_ms:.0f} ms are allowed"
            for each in self.asked
            if each.limit_ms is not None and each.p95_ms > each.limit_ms
        ]
        found += [f"{each.name}: {each.late} ran into their time budget" for each in self.asked if each.late]
        if self.builder_share is not None and self.builder_share > BUILDER_SHARE:
            found.append(f"the search builder takes {self.builder_share:.0%} of a core")
        if self.recorded < 0.95 * self.beside:
            found.append(f"{self.recorded:.0f} exchanges a second were recorded, not {self.beside}")
        if self.missed:
            found.append(f"{self.missed} of {self.substrings} substrings did not find their exchange")
        return found


def render(report: Report, about: Sequence[tuple[str, str]]) -> str:
    """The run as a page."""
    beside = f", while {report.recorded:.0f} exchanges a second were recorded" if report.beside else ""
    lines = [
        "# How fast the record answers",
        "",
        f"{report.rows:,} exchanges{beside}: {corpus.MODELS} models, {corpus.USERS:,} users, conversations of 1 to "
        "100 turns, 30 days, English, Chinese, Arabic, Russian, Korean and code. Milliseconds for a page of 20 with "
        "previews and snippets, a table of sums, or one exchange, as a client that asks one question after the other "
        "waits for them; at most so much is allowed for p95 at "
        f"{'ten million' if report.rows > MANY else 'a million'}. What is asked for lies in memory.",
        "",
        "`make bench-query ARGS='--write docs/benchmarks/queries.md'` writes this page; `--keep FOLDER` keeps the "
        "record for the next run.",
        "",
        "| | p50 | p95 | at most | longest | hits | |",
        "|---|---|---|---|---|---|---|",
        *(each.cells() for each in report.asked),
        "",
        f"Random substrings of 2 to 20 characters: {report.substrings - report.missed:,} of {report.substrings:,} find "
        "their exchange.",
    ]
    if report.builder_share is not None:
        lines += ["", f"The search builder took {report.builder_share:.1%} of a core meanwhile."]
    return "\n".join(
        [*lines, "", "| | |", "|---|---|", *(f"| {name} | {said} |" for name, said in about), ""]
    )


def run(arguments: list[str]) -> int:
    """The command line; 1 where something is slower than allowed or was not found."""
    parser = argparse.ArgumentParser(prog="bench/query", description=__doc__)
    parser.add_argument(
        "--rows",
        type=int,
        default=1_000_000,
        help="exchanges to load (1000000); each takes some 10 KB of disk",
    )
    parser.add_argument("--runs", type=int, default=100, help="questions of each kind (100)")
    parser.add_argument(
        "--substrings", type=int, default=10_000, help="random substrings that must be found (10000)"
    )
    parser.add_argument(
        "--beside", type=int, default=500, help="exchanges a second to record meanwhile (500)"
    )
    parser.add_argument("--keep", type=Path, help="folder of a database that is kept, and loaded only once")
    parser.add_argument("--only", default="", help="ask only kinds whose name holds this")
    parser.add_argument("--write", type=Path, help="file to write the page to")
    given = parser.parse_args(arguments)
    report = Report(given.rows, given.beside)
    about = machine.describe()
    with loading.database(given.keep) as url:
        asyncio.run(_run(url, report, given))
    page = render(report, about)
    print(page)
    if given.write is not None:
        given.write.write_text(page)
    for line in report.problems():
        print(f"bench: MISSED: {line}", file=sys.stderr)
    return 1 if report.problems() else 0


async def _run(url: str, report: Report, given: argparse.Namespace) -> None:
    await migrate.upgrade(url)
    pool = Pool(url, size=2)
    sample = loading.kept_sample(given.keep)
    if sample is None:
        sample = await loading.load(pool, report.rows)
        loading.keep_sample(given.keep, sample)
        await loading.print_sizes(pool)
    await loading.warm_up(pool)
    chance = random.Random(1)
    allowed = TEN_MILLION if report.rows > MANY else MILLION
    kinds = Questions(Query(pool), chance, sample, allowed).kinds()
    asked = [each for each in kinds if given.only in each.name]
    await _ask_all(asked, WARM_UP)
    before = await _count(pool)
    begun = time.monotonic()
    beside = _recording(url, report) if report.beside else nullcontext()
    async with beside:
        report.asked = await _ask_all(asked, given.runs)
        seconds = time.monotonic() - begun
        report.recorded = (await _count(pool) - before) / seconds
    report.substrings = given.substrings
    report.missed = await _missed(pool, chance, sample, given.substrings)
    await pool.close()


async def _ask_all(kinds: Sequence[Kind], runs: int) -> list[Row]:
    rows = []
    for kind in kinds:
        rows.append(await _ask(kind, [kind.make() for _ in range(runs)]))
        print(rows[-1].cells(), file=sys.stderr, flush=True)
    return rows


async def _ask(kind: Kind, questions: Sequence[Ask]) -> Row:
    times, late, hits = [], 0, 0
    for ask in questions:
        begun = time.perf_counter()
        outcome = await ask()
        times.append((time.perf_counter() - begun) * 1e3)
        late += outcome.is_late
        hits += outcome.hits
    times.sort()
    p95 = times[min(len(times) - 1, len(times) * 95 // 100)]
    return Row(kind.name, kind.limit_ms, times[len(times) // 2], p95, times[-1], hits / len(times), late)


async def _count(pool: Pool) -> int:
    async with pool.transaction(readonly=True) as connection:
        return int(await connection.fetchval("SELECT coalesce(sum(exchanges), 0) FROM usage_hourly"))


@asynccontextmanager
async def _recording(url: str, report: Report) -> AsyncIterator[None]:
    """A recorder that records so much each second; notes what the search builder takes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.pace", url, str(report.beside)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        await asyncio.wait_for(process.stdout.readline(), 60)
        begun = time.monotonic()
        yield
        report.builder_share = _builder_seconds(process.pid) / (time.monotonic() - begun)
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 30)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _builder_seconds(pid: int) -> float:
    """CPU of the builder's processes below this one, those that ended included."""
    own = set(processes.tree(pid)) - {pid}
    ended = processes.stat_cpu_seconds(pid, with_children=True) - processes.stat_cpu_seconds(pid)
    return ended + sum(processes.cpu_seconds(each) for each in own)


async def _missed(pool: Pool, chance: random.Random, sample: list[Said], count: int) -> int:
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
            print(f"missed: {words.wanted[0]!r}", file=sys.stderr)
    return missed
