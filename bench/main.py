"""The run: all proxies on one core in turn, everything else on the other cores, all of it ended at the end."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import trustme

from bench import machine, nginx, peers, processes, starting, upstream, wrk
from bench.backlog import BIG_BYTES
from bench.loads import DIRECT, LITELLM, NGINX, USUAL, VERBATIM
from bench.payloads import BURST, LARGE, PACED, TLS
from bench.plan import FULL, QUICK, SOAK_RATE, Plan
from bench.plot import draw
from bench.report import render
from bench.results import Results, missed
from bench.session import RECORDER, WORKER, Session, Side, Tools
from tests.product import free_port, running_product

PAGES = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
_FREE_BYTES = 8 << 30


@dataclass(frozen=True, slots=True)
class Run:
    """What is run, and with what."""

    plan: Plan
    tools: Tools
    peer: Path | None
    """LiteLLM's program, where it was asked for."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the upstreams and nginx as a proxy listen."""

    json: int
    tls: int
    proxy: int


async def _measure(run: Run, results: Results, folder: Path) -> None:
    cores = os.sched_getaffinity(0)
    measured_core = {min(cores)}
    # All that is started inherits this; the workers are then moved.
    os.sched_setaffinity(0, cores - measured_core or cores)
    ports = Ports(free_port(), free_port(), free_port())
    async with AsyncExitStack() as stack:
        whole = await stack.enter_async_context(_whole_upstream(run, folder, ports))
        await _measure_sides(run, results, folder, ports, whole.worker_pid, measured_core)
        print("bench: starting, more workers", file=sys.stderr, flush=True)
        os.sched_setaffinity(0, cores)
        processes.pin(whole.worker_pid, cores)
        results.started = await starting.measure_start(folder)
        if run.plan.scale_to > 1:
            for workers in (1, run.plan.scale_to):
                scaled, complaints = await starting.measure_scale(run.tools.wrk, folder, ports.json, workers)
                results.scaled.append(scaled)
                results.complaints += complaints


def _whole_upstream(run: Run, folder: Path, ports: Ports) -> AbstractAsyncContextManager[nginx.Nginx]:
    """nginx with whole answers, plain and over TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = folder / "certificate.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    big_file = folder / "big"
    big_file.write_bytes(b"0123456789abcdef" * (BIG_BYTES // 16))
    server = nginx.upstream_server(ports.json, big_file, nginx.Tls(ports.tls, certificate))
    return nginx.running(run.tools.nginx, folder / "upstream", server, ports.json)


async def _measure_sides(
    run: Run, results: Results, folder: Path, ports: Ports, whole_pid: int, measured_core: set[int]
) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        streams = await enter(upstream.running(run.plan.spacing_seconds))
        server = (
            nginx.group("ready", streams.ready_port)
            + nginx.group("tls", ports.tls)
            + nginx.proxy_server(
                ports.proxy,
                ports.json,
                streams.paced_port,
                nginx.ready_locations() + nginx.tls_location(folder / "ca.pem"),
            )
        )
        proxy = await enter(nginx.running(run.tools.nginx, folder / "proxy", server, ports.proxy))
        ready = f"http://127.0.0.1:{streams.ready_port}"
        product = await enter(
            running_product(
                folder / "data",
                upstream=f"http://127.0.0.1:{ports.json}",
                upstreams=f"{PACED}=http://127.0.0.1:{streams.paced_port},{BURST}={ready}/{BURST},"
                f"{LARGE}={ready}/{LARGE},{TLS}=https://localhost:{ports.tls}",
                upstream_ca=folder / "ca.pem",
                workers=1,
                drain_seconds=5,
                log_level="warning",
            )
        )
        sides = {
            DIRECT: Side({"": ports.json, PACED: streams.paced_port}, None),
            NGINX: Side({"": ports.proxy}, proxy.worker_pid),
            VERBATIM: Side({"": product.port}, processes.child(product.process.pid, WORKER)),
        }
        port, pid = await enter(peers.running_usual(folder, ports.json, streams.paced_port))
        sides[USUAL] = Side({"": port}, pid)
        if run.peer is not None:
            port, pid = await enter(peers.running_litellm(run.peer, folder, ports.json))
            sides[LITELLM] = Side({"": port}, pid)
        for side in sides.values():
            if side.pid is not None:
                processes.pin(side.pid, measured_core)
        recorder = processes.child(product.process.pid, RECORDER)
        pids = {"": whole_pid, **dict.fromkeys((PACED, BURST, LARGE), streams.pid)}
        await Session(run.plan, run.tools, folder, product, sides, pids, recorder, results).run()


async def _bounded(plan: Plan, tools: Tools, results: Results, peer_folder: Path | None) -> None:
    """SIGTERM ends the run as Ctrl-C does: with everything cleaned up."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with tempfile.TemporaryDirectory(prefix="verbatim-bench-") as name:
        folder = Path(name)
        # As root the database runs as another user, which has to pass through.
        folder.chmod(0o711)
        if shutil.disk_usage(folder).free < _FREE_BYTES:
            raise RuntimeError(f"less than {_FREE_BYTES >> 30} GiB are free for temporary files; set TMPDIR")
        peer = None if peer_folder is None else await peers.installed_litellm(folder / peer_folder)
        async with asyncio.timeout(plan.limit_seconds):
            await _measure(Run(plan, tools, peer), results, folder)


def find_tools() -> Tools | None:
    """nginx and wrk; None, after one line that says what is missing, where one is not there."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found = {name: shutil.which(name, path=path) for name in ("nginx", "wrk")}
    missing = [name for name, program in found.items() if program is None]
    if sys.platform != "linux":
        print("bench: CPU is read from /proc, so this runs on Linux only", file=sys.stderr)
        return None
    if missing:
        print(
            f"bench: {' and '.join(missing)} not found; install it (Debian: apt-get install nginx-light wrk)",
            file=sys.stderr,
        )
        return None
    return Tools(found["nginx"] or "", found["wrk"] or "")


def planned(chosen: argparse.Namespace) -> Plan:
    """The plan that the options ask for."""
    plan = QUICK if chosen.quick else FULL
    if chosen.peer:
        plan = replace(plan, limit_seconds=plan.limit_seconds + 180)
    if chosen.soak:
        more_seconds = chosen.soak / SOAK_RATE
        plan = replace(
            plan,
            soak_to=chosen.soak,
            limit_seconds=plan.limit_seconds + more_seconds,
            catch_up_seconds=plan.catch_up_seconds + more_seconds,
        )
    if chosen.workers is not None:
        plan = replace(plan, scale_to=chosen.workers)
    return plan


def is_written(chosen: argparse.Namespace) -> bool:
    """Whether the page is kept."""
    return bool(not chosen.quick if chosen.write is None else chosen.write)


def options() -> argparse.ArgumentParser:
    """What `bench/run` takes."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute; memory after fewer exchanges")
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help="writes docs/benchmarks/latest.md and latest.svg (unless --quick)",
    )
    parser.add_argument("--peer", choices=["litellm"], help="LiteLLM's proxy, too, installed from PyPI")
    parser.add_argument(
        "--peer-folder",
        type=lambda text: Path(text).resolve(),
        default=Path("litellm"),
        metavar="DIR",
        help="its environment, made where it is not there (else one for this run only)",
    )
    parser.add_argument(
        "--soak", type=int, default=0, metavar="N", help="the worker's memory after N exchanges, too: 1000000"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=2,
        metavar="N",
        help="beside one worker, N of them; 1: not measured (2)",
    )
    return parser


def run(arguments: list[str]) -> int:
    """0, or 1 where something that must hold does not, or 2 where it cannot be measured here."""
    chosen = options().parse_args(arguments)
    tools = find_tools()
    if tools is None:
        return 2
    import uvloop

    results = Results(is_quick=chosen.quick)
    results.machine = machine.describe(f"{nginx.version(tools.nginx)}, {wrk.version(tools.wrk)}")
    plan = planned(chosen)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_bounded(plan, tools, results, chosen.peer_folder if chosen.peer else None))
    except TimeoutError:
        print(f"bench: not done after {plan.limit_seconds:.0f} s, given up", file=sys.stderr)
        return 1
    except (RuntimeError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("bench: stopped", file=sys.stderr)
        return 1
    page = render(results)
    print(page)
    if is_written(chosen):
        (PAGES / "latest.md").write_text(page)
        (PAGES / "latest.svg").write_text(draw(results))
    problems = missed(results)
    for line in problems:
        print(f"bench: MISSED: {line}", file=sys.stderr)
    return 1 if problems else 0
