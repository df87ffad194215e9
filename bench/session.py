"""The windows of one run, in turn, and what is read when they are over."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import backlog, processes, record, streams, wrk
from bench.payloads import EVENTS, answer_body, numbered, request_parts, stream_events, unchunked
from bench.plan import Plan, window_seconds
from bench.report import MANY, NGINX, ONE, STEADY, VERBATIM, Count, Results, Window
from bench.report import PACED as PACED_STREAMS
from tests.product import Product

WORKER, RECORDER, DATABASE = "proxy-0", "recorder", "database"
"""How the product names its processes, after a prefix."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs that are not ours."""

    nginx: str
    wrk: str


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
    ports: dict[str, int]
    workers: dict[str, int]
    """Process id of each side's worker."""
    upstreams: dict[str, int]
    """Process id of the upstream of whole and of paced answers."""
    recorder: int
    results: Results
    number: int = 0
    """Of the last request."""
    answered: int = 0
    sent: int = 0
    expected_stream: bytes = field(default_factory=lambda: b"".join(stream_events()))

    async def run(self) -> None:
        """All windows, then memory and count."""
        for side in (NGINX, VERBATIM):
            await self._probe(side)
        for side in (NGINX, VERBATIM):
            await self._streams(side, rounds=1, is_kept=False)
        for _ in range(self.plan.windows):
            for side in (NGINX, VERBATIM):
                await self._streams(side, rounds=self.plan.rounds, is_kept=True)
        for _ in range(self.plan.windows):
            for side in (NGINX, VERBATIM):
                await self._whole(ONE, side, 1, self.plan.one_seconds)
                await self._whole(
                    STEADY, side, self.plan.connections, self.plan.one_seconds, pause_ms=self.plan.pause_ms
                )
        await self._whole(MANY, NGINX, self.plan.connections, 1, is_kept=False)
        rate = await self._whole(MANY, VERBATIM, self.plan.connections, 1, is_kept=False)
        seconds = window_seconds(self.plan, rate)
        for _ in range(self.plan.windows):
            for side in (NGINX, VERBATIM):
                await self._whole(MANY, side, self.plan.connections, seconds)
        while self.answered < self.plan.fill_to:
            left = self.plan.fill_to - self.answered
            rate = await self._whole(
                MANY, VERBATIM, self.plan.connections, min(10, int(left / max(1.0, rate)) + 1), is_kept=False
            )
        await self._close()
        await self._drain()

    async def _drain(self) -> None:
        """The recorder by itself: a backlog, then bodies of 100 MB."""
        plan, results = self.plan, self.results
        who = backlog.Processes(self.recorder, processes.child(self.product.process.pid, DATABASE))
        if plan.drain_seconds:
            results.drain = await backlog.measure_drain(
                self.product,
                self.tools.wrk,
                self.folder,
                who,
                connections=plan.connections,
                seconds=plan.drain_seconds,
            )
        if plan.big_bodies:
            results.recorder_memory = await backlog.measure_big_bodies(self.product, who, plan.big_bodies)

    async def _probe(self, side: str) -> None:
        """One exchange of each kind, its answer compared byte by byte."""
        for stream in (False, True):
            body = await self._exchange(side, stream)
            if body != (self.expected_stream if stream else answer_body()):
                raise RuntimeError(
                    f"{side} gives an answer with other bytes than the upstream sent: {body[:300]!r}"
                )
            if side == VERBATIM:
                self.answered += 1
                self.sent += 1

    async def _exchange(self, side: str, stream: bool) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[side])
        self.number += 1
        writer.write(numbered(self._parts(side, stream), self.number))
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            if not stream:
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
                return await asyncio.wait_for(reader.readexactly(length), 10)
            body = await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 10)
            return unchunked(head + body) or b""
        finally:
            writer.close()

    def _parts(self, side: str, stream: bool) -> tuple[bytes, bytes]:
        return request_parts(f"127.0.0.1:{self.ports[side]}", stream=stream)

    async def _streams(self, side: str, *, rounds: int, is_kept: bool) -> None:
        plan = self.plan
        begun = self.number
        self.number += plan.streams * rounds
        with self._measured(side, "paced") as measured:
            result = await streams.run(
                self.ports[side],
                self._parts(side, stream=True),
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
        if result.reads < result.events * 0.5:
            self.results.complaints.append(
                f"{side}: {result.events} events came in {result.reads} reads: they are held back"
            )
        if is_kept:
            times = result.first_byte_ms or [0.0]
            self.results.windows.append(
                Window(
                    PACED_STREAMS,
                    side,
                    max(1, result.whole * EVENTS),
                    measured.seconds,
                    measured.cpu_seconds,
                    times[len(times) // 2],
                    times[len(times) * 99 // 100],
                    measured.helpers,
                    result.reads,
                )
            )

    async def _whole(
        self, kind: str, side: str, connections: int, seconds: int, *, pause_ms: int = 0, is_kept: bool = True
    ) -> float:
        """A window of wrk; gives answers a second."""
        with self._measured(side, "whole") as measured:
            result = await wrk.run(
                self.tools.wrk,
                self.folder,
                self.ports[side],
                self._parts(side, stream=False),
                connections=connections,
                seconds=seconds,
                start=self.number,
                pause_ms=pause_ms,
            )
        self.number += result.sent
        if side == VERBATIM:
            self.answered += result.answered
            self.sent += result.sent
        if result.errors:
            self.results.complaints.append(f"{side}, {kind}: {result.errors} errors at the client")
        if is_kept:
            self.results.windows.append(
                Window(
                    kind,
                    side,
                    result.answered,
                    measured.seconds,
                    measured.cpu_seconds,
                    result.p50_us / 1000,
                    result.p99_us / 1000,
                    measured.helpers,
                )
            )
        return result.rate

    @contextmanager
    def _measured(self, side: str, upstream: str) -> Iterator[Measured]:
        """CPU of worker and helpers; the recorder's backlog does not take the helpers' core while nginx runs."""
        measured = Measured()
        worker, helper = self.workers[side], self.upstreams[upstream]
        if side == NGINX:
            os.kill(self.recorder, signal.SIGSTOP)
        before = processes.cpu_seconds(worker), processes.cpu_seconds(helper), _client_cpu_seconds()
        begun = time.perf_counter()
        try:
            yield measured
            measured.seconds = time.perf_counter() - begun
            measured.cpu_seconds = processes.cpu_seconds(worker) - before[0]
            measured.helpers = {
                "upstream": (processes.cpu_seconds(helper) - before[1]) / measured.seconds,
                "client": (_client_cpu_seconds() - before[2]) / measured.seconds,
            }
        finally:
            if side == NGINX:
                os.kill(self.recorder, signal.SIGCONT)

    async def _close(self) -> None:
        """Waits for the record to be whole; reads memory and sums."""
        text = await record.proxy_metrics(self.product)
        while record.metric(text, "verbatim_exchanges_in_flight"):
            # What wrk left under way at its end.
            await asyncio.sleep(0.1)
            text = await record.proxy_metrics(self.product)
        accepted = int(record.metric(text, "verbatim_exchanges_accepted_total"))
        listed, waited = await record.wait_until_recorded(self.product, accepted, self.plan.catch_up_seconds)
        self.results.count = Count(
            answered=self.answered,
            sent=self.sent,
            accepted=accepted,
            recorded=listed.recorded,
            completed=listed.completed,
            dropped=int(record.metric(text, "verbatim_exchanges_dropped_total")),
            catch_up_seconds=waited,
        )
        self.results.memory = processes.memory(self.workers[VERBATIM])
        self.results.memory_after = accepted
        self._sum_up(accepted)

    def _sum_up(self, exchanges: int) -> None:
        for title, name in (("worker", WORKER), ("recorder", RECORDER), ("PostgreSQL", DATABASE)):
            seconds = processes.tree_cpu_seconds(processes.child(self.product.process.pid, name))
            self.results.all_in.append((title, seconds * 1e6 / exchanges))


def _client_cpu_seconds() -> float:
    """Ours and that of ended children (wrk)."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
