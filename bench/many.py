"""Ten thousand slow streams at once, and what others notice of them: through nginx, then through Verbatim.

    bench/many [--streams 10000] [--seconds 600] [--tls]

One chunk a second on each stream, two workers. While they run, one more client calls the same proxy for short answers;
what its slowest hundredth takes longer than before counts. Exits with 1 where a stream broke, an exchange is not
recorded, a stream takes more memory than allowed, or others wait longer than allowed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from bench import nginx, processes, record, wrk
from bench.crowd import Crowd, CrowdResult, events_of
from bench.loads import NGINX, VERBATIM
from bench.main import find_tools
from bench.payloads import PACED, request_parts
from tests.product import Product, free_port, running_product

SPACING_SECONDS = 1.0
WORKERS = 2
LARGEST_SHARE = 0.75
"""Of the streams, in one of two workers: the kernel deals connections out at random."""
SPARE_FILES = 500
STREAM_BYTES, TLS_STREAM_BYTES = 20_000, 80_000
"""Allowed in the worker for one stream, above what it takes idle."""
ADDED_P99_MS = 5.0
"""Allowed beside what the same streams add through nginx."""
RAMP_STREAMS = 1_000
"""Streams that are begun within a second."""
PROBE_PAUSE_MS = 20


@dataclass(slots=True)
class Side:
    """What one proxy did."""

    crowd: CrowdResult
    p99_ms_before: float
    p50_ms: float
    p99_ms: float
    idle_bytes: float
    busy_bytes: float

    @property
    def added_p99_ms(self) -> float:
        """What the streams cost another client."""
        return self.p99_ms - self.p99_ms_before


@dataclass(slots=True)
class Many:
    """The whole run."""

    streams: int
    seconds: int
    is_tls: bool
    sides: dict[str, Side] = field(default_factory=dict)
    accepted: int = 0
    longest_turn_ms: float = 0.0
    """The most that an event loop of Verbatim's was late."""
    recorded: int = 0
    completed: int = 0

    def stream_bytes(self, side: str) -> float:
        """Memory of all workers for one stream."""
        each = self.sides[side]
        return (each.busy_bytes - each.idle_bytes) / self.streams

    def problems(self) -> list[str]:
        """What should not be so."""
        found = []
        ours, theirs = self.sides[VERBATIM], self.sides[NGINX]
        if ours.crowd.whole != self.streams:
            found.append(f"{self.streams - ours.crowd.whole} of {self.streams} streams broke")
        if self.recorded != self.accepted:
            found.append(f"{self.recorded} of {self.accepted} exchanges are recorded")
        allowed = TLS_STREAM_BYTES if self.is_tls else STREAM_BYTES
        if self.stream_bytes(VERBATIM) > allowed:
            found.append(f"a stream takes {self.stream_bytes(VERBATIM):,.0f} bytes, {allowed:,} are allowed")
        if ours.added_p99_ms > theirs.added_p99_ms + ADDED_P99_MS:
            found.append(
                f"others wait {ours.added_p99_ms:.1f} ms longer (p99), through nginx {theirs.added_p99_ms:.1f} ms"
            )
        return found


def render(many: Many) -> str:
    """The result as a table."""
    names = (VERBATIM, NGINX)
    rows = [
        (
            "streams that ended whole",
            [f"{many.sides[each].crowd.whole:,} of {many.streams:,}" for each in names],
        ),
        (
            "the slowest, behind its pace",
            [f"{many.sides[each].crowd.latest_seconds:.2f} s" for each in names],
        ),
        ("memory a stream, in all workers", [f"{many.stream_bytes(each) / 1000:.1f} KB" for each in names]),
        ("another client before: p99", [f"{many.sides[each].p99_ms_before:.2f} ms" for each in names]),
        ("beside the streams: p50", [f"{many.sides[each].p50_ms:.2f} ms" for each in names]),
        ("beside the streams: p99", [f"{many.sides[each].p99_ms:.2f} ms" for each in names]),
    ]
    over = "TLS to the upstream" if many.is_tls else "no TLS"
    lines = [
        f"{many.streams:,} streams at once for {many.seconds} s, one chunk a second each, {over}; Verbatim and "
        f"nginx with {WORKERS} workers.",
        "",
        f"| | {' | '.join(names)} |",
        "|---|---|---|",
        *(f"| {name} | {' | '.join(values)} |" for name, values in rows),
        "",
        f"Recorded: {many.recorded:,} exchanges of {many.accepted:,} accepted, {many.completed:,} completed. "
        f"Verbatim's event loops were at most {many.longest_turn_ms:.0f} ms late.",
    ]
    return "\n".join(lines)


@asynccontextmanager
async def upstream(events: int, certificate: Path | None) -> AsyncIterator[int]:
    """The upstream of the streams, a process; its port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.crowd", str(events), str(SPACING_SECONDS)),
        *([str(certificate)] if certificate else []),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parent.parent,
    )
    try:
        assert process.stdout is not None
        yield int(await asyncio.wait_for(process.stdout.readline(), 10))
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _side(many: Many, tool: str, folder: Path, port: int, workers: Sequence[int]) -> Side:
    """The streams through one proxy, and the client beside them."""
    short = request_parts(f"127.0.0.1:{port}", stream=False)
    idle_bytes = _bytes_of(workers)
    alone = {"connections": 1, "seconds": 5, "start": 0, "pause_ms": PROBE_PAUSE_MS}
    before = await wrk.run(tool, folder, port, short, **alone)
    long = request_parts(f"127.0.0.1:{port}", stream=True, upstream=PACED)
    crowd = Crowd(port, long, events_of(many.seconds), SPACING_SECONDS)
    try:
        ramp_seconds = many.streams / RAMP_STREAMS
        await crowd.open(many.streams, ramp_seconds, start=1_000_000)
        left = max(5, int(many.seconds - ramp_seconds) - 5)
        beside = await wrk.run(
            tool, folder, port, short, **{**alone, "start": 500_000, "seconds": min(30, left)}
        )
        busy_bytes = _bytes_of(workers)
        result = await crowd.join()
    finally:
        crowd.close()
    p99_ms = (before.p99_us / 1000, beside.p99_us / 1000)
    return Side(result, p99_ms[0], beside.p50_us / 1000, p99_ms[1], idle_bytes, busy_bytes)


def _bytes_of(pids: Sequence[int]) -> float:
    return sum(processes.memory(pid).rss_mb for pid in pids) * 1e6


def _nginx_server(port: int, json_port: int, paced_port: int, *, is_tls: bool) -> str:
    server = nginx.proxy_server(port, json_port, paced_port)
    # Each worker has a socket of its own, as Verbatim's have; else one worker of nginx takes nearly all.
    server = server.replace(f"{port};", f"{port} reuseport backlog=16384;")
    return server.replace("http://paced/", "https://paced/") if is_tls else server


def _files(streams: int) -> int:
    """Files that one process may have open: a worker's two for each of its streams, or the client's."""
    return max(streams, int(2 * LARGEST_SHARE * streams)) + SPARE_FILES


async def _measure(many: Many, nginx_program: str, wrk_program: str, folder: Path) -> None:
    certificate, ca_file = folder / "certificate.pem", folder / "ca.pem"
    if many.is_tls:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(ca_file))
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    scheme, host = ("https", "localhost") if many.is_tls else ("http", "127.0.0.1")
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        json_port, proxy_port = free_port(), free_port()
        server = nginx.upstream_server(json_port, Path(os.devnull))
        await enter(nginx.running(nginx_program, folder / "upstream", server, json_port))
        paced_port = await enter(upstream(many.seconds, certificate if many.is_tls else None))
        server = _nginx_server(proxy_port, json_port, paced_port, is_tls=many.is_tls)
        size = nginx.Size(WORKERS, _files(many.streams))
        async with nginx.running(nginx_program, folder / "proxy", server, proxy_port, size) as proxy:
            many.sides[NGINX] = await _side(many, wrk_program, folder, proxy_port, proxy.worker_pids)
        product = await enter(
            running_product(
                folder / "data",
                upstream=f"http://127.0.0.1:{json_port}",
                upstreams=f"{PACED}={scheme}://{host}:{paced_port}",
                upstream_ca=ca_file if many.is_tls else "",
                workers=WORKERS,
                drain_seconds=5,
                log_level="warning",
            )
        )
        pids = [processes.child(product.process.pid, f"proxy-{slot}") for slot in range(WORKERS)]
        many.sides[VERBATIM] = await _side(many, wrk_program, folder, product.port, pids)
        await _count(many, product)


async def _count(many: Many, product: Product) -> None:
    text = await record.proxy_metrics(product)
    many.accepted = int(record.metric(text, "verbatim_exchanges_accepted_total"))
    many.longest_turn_ms = record.metric(text, "verbatim_event_loop_lag_max_seconds") * 1000
    listed, _ = await record.wait_until_recorded(product, many.accepted, 120)
    many.recorded, many.completed = listed.recorded, listed.completed


def run(arguments: list[str]) -> int:
    """0, or 1 where something that must hold does not, or 2 where it cannot be measured here."""
    parser = argparse.ArgumentParser(prog="bench/many", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--streams", type=int, default=10_000, help="streams at once (10000)")
    parser.add_argument("--seconds", type=int, default=600, help="chunks of each, one a second (600)")
    parser.add_argument("--tls", action="store_true", help="the upstream of the streams speaks TLS")
    chosen = parser.parse_args(arguments)
    tools = find_tools()
    if tools is None:
        return 2
    wanted = _files(chosen.streams)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        print(
            f"bench: {wanted} open files are needed and {hard} allowed; use fewer --streams", file=sys.stderr
        )
        return 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    import uvloop

    many = Many(chosen.streams, chosen.seconds, chosen.tls)
    with tempfile.TemporaryDirectory(prefix="verbatim-many-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(many, tools.nginx, tools.wrk, folder))
    print(render(many))
    problems = many.problems()
    for line in problems:
        print(f"bench: MISSED: {line}", file=sys.stderr)
    return 1 if problems else 0
