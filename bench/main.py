"""The run: both proxies on one core in turn, everything else on the other cores, all of it ended at the end."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from bench import machine, nginx, processes, wrk
from bench.backlog import BIG_BYTES
from bench.payloads import PACED
from bench.plan import FULL, QUICK, Plan
from bench.report import NGINX, VERBATIM, Results, missed, render
from bench.session import RECORDER, WORKER, Session, Tools
from tests.product import free_port, running_product

LATEST = Path(__file__).resolve().parent.parent / "docs" / "benchmarks" / "latest.md"
_FREE_BYTES = 4 << 30


@asynccontextmanager
async def paced_upstream(spacing_seconds: float) -> AsyncIterator[tuple[int, int]]:
    """The upstream of paced streams: its port and process id."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.upstream", str(spacing_seconds * 1000)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parent.parent,
    )
    try:
        assert process.stdout is not None
        yield int(await asyncio.wait_for(process.stdout.readline(), 10)), process.pid
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _measure(plan: Plan, tools: Tools, results: Results, folder: Path) -> None:
    cores = os.sched_getaffinity(0)
    measured_core = {min(cores)}
    # All that is started inherits this; the two workers are then moved.
    os.sched_setaffinity(0, cores - measured_core or cores)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        json_port, proxy_port = free_port(), free_port()
        big_file = folder / "big"
        big_file.write_bytes(b"0123456789abcdef" * (BIG_BYTES // 16))
        server = nginx.upstream_server(json_port, big_file)
        upstream = await enter(nginx.running(tools.nginx, folder / "upstream", server, json_port))
        paced_port, paced_pid = await enter(paced_upstream(plan.spacing_seconds))
        server = nginx.proxy_server(proxy_port, json_port, paced_port)
        proxy = await enter(nginx.running(tools.nginx, folder / "proxy", server, proxy_port))
        product = await enter(
            running_product(
                folder / "data",
                upstream=f"http://127.0.0.1:{json_port}",
                upstreams=f"{PACED}=http://127.0.0.1:{paced_port}",
                workers=1,
                drain_seconds=5,
                log_level="warning",
            )
        )
        worker = processes.child(product.process.pid, WORKER)
        recorder = processes.child(product.process.pid, RECORDER)
        for pid in (worker, proxy.worker_pid):
            processes.pin(pid, measured_core)
        await Session(
            plan,
            tools,
            folder,
            product,
            {NGINX: proxy.port, VERBATIM: product.port},
            {NGINX: proxy.worker_pid, VERBATIM: worker},
            {"whole": upstream.worker_pid, "paced": paced_pid},
            recorder,
            results,
        ).run()


async def _bounded(plan: Plan, tools: Tools, results: Results) -> None:
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
        async with asyncio.timeout(plan.limit_seconds):
            await _measure(plan, tools, results, folder)


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


def run(arguments: list[str]) -> int:
    """0, or 1 where something that must hold does not, or 2 where it cannot be measured here."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute; memory after fewer exchanges")
    parser.add_argument("--write", action="store_true", help="writes docs/benchmarks/latest.md")
    chosen = parser.parse_args(arguments)
    tools = find_tools()
    if tools is None:
        return 2
    import uvloop

    results = Results(is_quick=chosen.quick)
    results.machine = machine.describe(nginx.version(tools.nginx), wrk.version(tools.wrk))
    plan = QUICK if chosen.quick else FULL
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_bounded(plan, tools, results))
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
    if chosen.write:
        LATEST.write_text(page)
    problems = missed(results)
    for line in problems:
        print(f"bench: MISSED: {line}", file=sys.stderr)
    return 1 if problems else 0
