"""The windows of one run, in turn, and what is read when they are over."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.store.database.cluster import find_cluster
from bench import backlog, loads, processes, record, streams, wrk
from bench.loads import LITELLM, MANY, NGINX, ONE, PACED, PROXIES, STEADY, USUAL, VERBATIM, Load
from bench.payloads import BURST, LARGE, TLS, answer_body, numbered, request_parts, stream_events, unchunked
from bench.payloads import PACED as PACED_UPSTREAM
from bench.plan import Plan, window_seconds
from bench.results import Count, Results, Soaked, Window
from tests.product import Product

WORKER, RECORDER, DATABASE = "proxy-0", "recorder", "database"
"""How the product names its processes, after a prefix."""
_BACKLOG_BYTES = 256 << 20
"""The most that a soak lets the journal grow to."""
_SETTLE_SECONDS = 1.0
"""After a window of a slow proxy, until what wrk left under way is done."""
_STREAMED = (PACED_UPSTREAM, BURST)


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs that are not ours."""

    nginx: str
    wrk: str


@dataclass(frozen=True, slots=True)
class Side:
    """What is between clients and upstreams."""

    ports: Mapping[str, int]
    """By upstream; that of "" is for all that are not named."""
    pid: int | None
    """Of its worker; None where nothing is between."""

    def port(self, upstream: str) -> int:
        """Where clients connect to for an upstream."""
        return self.ports.get(upstream, self.ports[""])


@dataclass(slots=True)
class Measured:
    """What one window took."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    helpers: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """Everything that runs, and what was sent so far."""

    plan: Plan
    tools: Tools
    folder: Path
    product: Product
    sides: dict[str, Side]
    upstreams: dict[str, int]
    """Process id of each upstream; that of "" is for all that are not named."""
    recorder: int
    results: Results
    number: int = 0
    """Of the last request."""
    answered: int = 0
    sent: int = 0
    expected_stream: bytes = field(default_factory=lambda: b"".join(stream_events()))

    async def run(self) -> None:
        """All windows, then memory and count, then the recorder by itself."""
        plan = self.plan
        for side in PROXIES:
            for upstream in ("", *_STREAMED, LARGE, TLS):
                await self._probe(side, upstream)
        for side in PACED.sides:
            await self._streams(side, rounds=1, is_kept=False)
        await self._in_turn([PACED], plan.windows)
        await self._in_turn([ONE, STEADY], plan.windows)
        await self._in_turn(loads.LATENCIES, plan.more_windows)
        await self._in_turn(loads.PACES, plan.more_windows)
        await self._whole(MANY, NGINX, 1, is_kept=False)
        rate = await self._whole(MANY, VERBATIM, 1, is_kept=False)
        await self._in_turn([MANY], plan.windows, window_seconds(plan, rate))
        await self._peers()
        await self._fill(plan.fill_to)
        await self._close()
        await self._drain()

    async def _in_turn(self, kinds: list[Load] | tuple[Load, ...], windows: int, seconds: int = 0) -> None:
        """So many windows of each load for each of its sides, none of them first twice in a row."""
        _tell(", ".join(load.name for load in kinds))
        for _ in range(windows):
            for load in kinds:
                for side in load.sides:
                    if load is PACED:
                        await self._streams(side, rounds=self.plan.rounds, is_kept=True)
                    else:
                        await self._whole(load, side, seconds or self.plan.one_seconds)

    async def _peers(self) -> None:
        """The usual way and others, as far as they are there; what they take is far above what noise adds.

        Their windows are long: what wrk leaves under way at the end (50 calls) has cost CPU and is not counted.
        """
        _tell("others")
        for side, seconds in ((USUAL, 2 * self.plan.one_seconds), (LITELLM, 6 * self.plan.one_seconds)):
            if side not in self.sides:
                continue
            await self._whole(MANY, side, 1, is_kept=False)
            for load in (ONE, MANY):
                await asyncio.sleep(_SETTLE_SECONDS)
                await self._whole(load, side, seconds)
        if USUAL in self.sides:
            await self._streams(USUAL, rounds=1, is_kept=True)

    async def _fill(self, exchanges: int, journal_bytes: int | None = None) -> None:
        """Sends until the worker has had so many; waits where the journal would grow beyond a bound."""
        _tell(f"up to {exchanges:,} exchanges")
        rate = 0.0
        while self.answered < exchanges:
            seconds = math.ceil((exchanges - self.answered) / rate) if rate else 1
            rate = await self._whole(MANY, VERBATIM, min(10, seconds), is_kept=False)
            while journal_bytes is not None and _size(self.product.data_dir / "journal") > journal_bytes:
                await asyncio.sleep(0.5)

    async def _drain(self) -> None:
        """The recorder by itself: backlogs, then bodies of 100 MB."""
        _tell("the recorder by itself")
        plan, results = self.plan, self.results
        url = find_cluster(self.product.data_dir).url
        who = backlog.Processes(self.recorder, processes.child(self.product.process.pid, DATABASE), url)
        for _ in range(plan.drains):
            drain = await backlog.measure_drain(
                self.product,
                self.tools.wrk,
                self.folder,
                who,
                connections=plan.connections,
                exchanges=plan.drain_exchanges,
            )
            results.drains.append(drain)
        if plan.big_bodies:
            results.recorder_memory = await backlog.measure_big_bodies(self.product, who, plan.big_bodies)

    async def _probe(self, side: str, upstream: str) -> None:
        """One exchange, its answer compared byte by byte."""
        stream = upstream in _STREAMED
        body = await self._exchange(side, upstream, stream)
        if body != (self.expected_stream if stream else answer_body()):
            raise RuntimeError(
                f"{side} gives an answer with other bytes than the upstream sent: {body[:300]!r}"
            )
        if side == VERBATIM:
            self.answered += 1
            self.sent += 1

    async def _exchange(self, side: str, upstream: str, stream: bool) -> bytes:
        port = self.sides[side].port(upstream)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.number += 1
        parts = request_parts(f"127.0.0.1:{port}", stream=stream, upstream=upstream)
        writer.write(numbered(parts, self.number))
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            if not stream:
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
                return await asyncio.wait_for(reader.readexactly(length), 10)
            body = await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 10)
            return unchunked(head + body) or b""
        finally:
            writer.close()

    def _parts(self, load: Load, port: int) -> tuple[bytes, bytes]:
        return request_parts(
            f"127.0.0.1:{port}",
            stream=load.upstream in _STREAMED,
            upstream=load.upstream,
            body_bytes=load.body_bytes,
        )

    async def _streams(self, side: str, *, rounds: int, is_kept: bool) -> None:
        plan = self.plan
        begun = self.number
        self.number += plan.streams * rounds
        port = self.sides[side].port(PACED.upstream)
        with self._measured(PACED, side) as measured:
            result = await streams.run(
                port,
                self._parts(PACED, port),
                self.expected_stream,
                streams=plan.streams,
                rounds=rounds,
                spacing_seconds=plan.spacing_seconds,
                start=begun + 1,
            )
        if side == VERBATIM:
            self.answered += result.whole
            self.sent += result.streams
        if result.whole != result.streams:
            self.results.complaints.append(
                f"{side}: {result.streams - result.whole} of {result.streams} streams were not whole"
            )
        if side in PROXIES and result.reads < result.events * 0.5:
            self.results.complaints.append(
                f"{side}: {result.events} events came in {result.reads} reads: they are held back"
            )
        if is_kept:
            times = result.first_byte_ms or [0.0]
            p50_ms, p99_ms = times[len(times) // 2], times[len(times) * 99 // 100]
            self._keep(PACED, side, measured, max(1, result.whole), (p50_ms, p99_ms), result.reads)

    async def _whole(self, load: Load, side: str, seconds: int, *, is_kept: bool = True) -> float:
        """A window of wrk; gives answers a second."""
        port = self.sides[side].port(load.upstream)
        with self._measured(load, side) as measured:
            result = await wrk.run(
                self.tools.wrk,
                self.folder,
                port,
                self._parts(load, port),
                connections=load.connections,
                seconds=seconds,
                start=self.number,
                pause_ms=load.pause_ms,
            )
        self.number += result.sent
        if side == VERBATIM:
            self.answered += result.answered
            self.sent += result.sent
        if result.errors:
            self.results.complaints.append(f"{side}, {load.name}: {result.errors} errors at the client")
        if is_kept:
            self._keep(load, side, measured, result.answered, (result.p50_us / 1000, result.p99_us / 1000))
        return result.rate

    def _keep(
        self,
        load: Load,
        side: str,
        measured: Measured,
        answers: int,
        latency_ms: tuple[float, float],
        reads: int = 0,
    ) -> None:
        units = answers * load.units
        took = (measured.seconds, measured.cpu_seconds)
        self.results.windows.append(
            Window(load.name, side, units, *took, *latency_ms, measured.helpers, reads)
        )

    @contextmanager
    def _measured(self, load: Load, side: str) -> Iterator[Measured]:
        """CPU of worker and helpers; the recorder's backlog does not take the helpers' core while others run."""
        measured = Measured()
        worker = self.sides[side].pid
        helper = self.upstreams.get(load.upstream, self.upstreams[""])
        held = processes.tree(self.recorder) if load.is_held or side != VERBATIM else []
        _signal(held, signal.SIGSTOP)
        before = _cpu_seconds(worker), processes.cpu_seconds(helper), _client_cpu_seconds()
        begun = time.perf_counter()
        try:
            yield measured
            measured.seconds = time.perf_counter() - begun
            measured.cpu_seconds = _cpu_seconds(worker) - before[0]
            measured.helpers = {
                "upstream": (processes.cpu_seconds(helper) - before[1]) / measured.seconds,
                "client": (_client_cpu_seconds() - before[2]) / measured.seconds,
            }
        finally:
            _signal(held, signal.SIGCONT)

    async def _close(self) -> None:
        """Reads the worker's memory, after a soak again; waits for the record to be whole."""
        results = self.results
        results.memory_after = await self._ended()
        results.memory = self._remember(results.memory_after)
        if self.plan.soak_to:
            await self._fill(self.plan.soak_to, _BACKLOG_BYTES)
            self._remember(await self._ended())
        accepted = await self._ended()
        _tell("waiting for the record")
        listed, waited = await record.wait_until_recorded(self.product, accepted, self.plan.catch_up_seconds)
        text = await record.proxy_metrics(self.product)
        results.count = Count(
            answered=self.answered,
            sent=self.sent,
            accepted=accepted,
            recorded=listed.recorded,
            completed=listed.completed,
            dropped=int(record.metric(text, "verbatim_exchanges_dropped_total")),
            catch_up_seconds=waited,
        )
        for title, name in (("worker", WORKER), ("recorder", RECORDER), ("PostgreSQL", DATABASE)):
            seconds = processes.tree_cpu_seconds(processes.child(self.product.process.pid, name))
            results.all_in.append((title, seconds * 1e6 / accepted))

    def _remember(self, exchanges: int) -> processes.Memory:
        worker = self.sides[VERBATIM].pid
        assert worker is not None
        memory = processes.memory(worker)
        self.results.soaked.append(Soaked(exchanges, memory))
        return memory

    async def _ended(self) -> int:
        """How many exchanges the worker accepted, once none is under way any more (wrk leaves some at its end)."""
        text = await record.proxy_metrics(self.product)
        while record.metric(text, "verbatim_exchanges_in_flight"):
            await asyncio.sleep(0.1)
            text = await record.proxy_metrics(self.product)
        return int(record.metric(text, "verbatim_exchanges_accepted_total"))


def _tell(what: str) -> None:
    """A run takes minutes; whoever waits sees what it is at."""
    print(f"bench: {time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        # The search builder is a process for a while only.
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _cpu_seconds(pid: int | None) -> float:
    return 0.0 if pid is None else processes.cpu_seconds(pid)


def _size(folder: Path) -> int:
    """Bytes of all files; those that go meanwhile are not counted."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _client_cpu_seconds() -> float:
    """Ours and that of ended children (wrk)."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
