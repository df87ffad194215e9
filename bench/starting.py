"""What starting costs, and what more workers bring: each with a product of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from bench import processes, record, wrk
from bench.loads import MANY
from bench.payloads import request_parts
from bench.results import Scaled, Started
from tests.product import running_product

_IDLE_SECONDS = 3.0
_STARTS = 3
_SECONDS = 2


async def measure_start(folder: Path) -> Started:
    """The least CPU of some starts until the proxy answers; what an idle `verbatim serve` holds without PostgreSQL."""
    nowhere = "http://127.0.0.1:9"
    cpu_seconds = []
    for number in range(_STARTS):
        data_dir = folder / f"proxy-only-{number}"
        async with running_product(data_dir, "proxy", wait_for="proxy", upstream=nowhere) as product:
            cpu_seconds.append(processes.tree_cpu_seconds(product.process.pid))
    async with running_product(folder / "idle", upstream=nowhere) as product:
        await asyncio.sleep(_IDLE_SECONDS)
        pid = product.process.pid
        pss_mb = processes.tree_pss_mb(pid, without=processes.child(pid, "database"))
    return Started(min(cpu_seconds), pss_mb)


async def measure_scale(tool: str, folder: Path, json_port: int, workers: int) -> tuple[Scaled, list[str]]:
    """How many exchanges so many workers take, on all cores with clients and upstream; and what is wrong with them.

    The recorder is held meanwhile and then delivers all of them.
    """
    folder = folder / f"workers-{workers}"
    folder.mkdir()
    folder.chmod(0o711)
    async with running_product(
        folder / "data", upstream=f"http://127.0.0.1:{json_port}", workers=workers, log_level="warning"
    ) as product:
        main = product.process.pid
        pids = [processes.child(main, f"proxy-{slot}") for slot in range(workers)]
        recorder = processes.child(main, "recorder")
        parts = request_parts(f"127.0.0.1:{product.port}", stream=False)
        load = {"connections": MANY.connections, "seconds": _SECONDS}
        await wrk.run(tool, folder, product.port, parts, **{**load, "seconds": 1}, start=0)
        os.kill(recorder, signal.SIGSTOP)
        try:
            before = sum(map(processes.cpu_seconds, pids))
            result = await wrk.run(tool, folder, product.port, parts, **load, start=10_000_000)
            cpu_seconds = sum(map(processes.cpu_seconds, pids)) - before
        finally:
            os.kill(recorder, signal.SIGCONT)
        accepted = int(
            record.metric(await record.proxy_metrics(product), "verbatim_exchanges_accepted_total")
        )
        listed, _ = await record.wait_until_recorded(product, accepted, 90)
    complaints = []
    if listed.recorded != accepted:
        complaints.append(f"{workers} workers accepted {accepted} exchanges, {listed.recorded} are recorded")
    if result.errors:
        complaints.append(f"{workers} workers: {result.errors} errors at the client")
    return Scaled(workers, result.rate, cpu_seconds * 1e6 / max(1, result.answered)), complaints
