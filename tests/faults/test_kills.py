"""Processes that die, stop or run out of memory under load: nothing that a client received is lost or twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from tests.faults.conftest import Row
from tests.faults.injectors import Killer, memory_group, processes, stopped
from tests.faults.judge import Allowed
from tests.faults.world import World, world
from tests.recorder.conftest import folder as folder
from tests.recorder.conftest import rows as rows
from tests.recorder.journals import Rows, open_writer, write_exchange
from tests.recorder.test_kill import drain, start

LIVES_SECONDS = 2.1
"""A child that lived so long is started again at once."""
CRASHED = Allowed(frozenset({"proxy_crashed"}), unanswered=True)
CUT_OFF = Allowed(frozenset({"proxy_crashed", "completed", "client_left"}), unanswered=True)


@pytest.mark.row("K1", ci=3, soak=200)
async def test_kill_9_of_a_worker_costs_its_own_streams_their_end_and_nothing_else(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url, workers=2) as made:
        killer = Killer(made.product, "proxy")
        async with made.load(200 if row.times > 20 else 40, 30, 150):
            for _ in row.turns():
                await asyncio.sleep(LIVES_SECONDS + random.random() / 2)
                await killer.kill()
            long = await made.clients.ask(100, 20)
        assert long.is_whole
        verdict = await made.judge(CRASHED)
        assert verdict.outcomes["proxy_crashed"] >= row.times
        row.tell(held=verdict)


@pytest.mark.row("K2", ci=3, soak=200)
async def test_kill_9_of_the_recorder_is_noticed_by_nobody(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url) as made:
        killer = Killer(made.product, "recorder")
        async with made.load(20):
            for _ in row.turns():
                await asyncio.sleep(LIVES_SECONDS + random.random() / 2)
                await killer.kill()
        row.tell(held=await made.judge())


@pytest.mark.row("K3", ci=2, soak=50)
async def test_kill_9_of_everything_at_once_keeps_all_that_clients_received(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url) as made:
        async with made.load(20, 20, 30):
            for _ in row.turns():
                await asyncio.sleep(0.5 + random.random())
                everything = [*processes(made.product), made.product.process.pid]
                for pid in random.sample(everything, len(everything)):
                    _kill(pid)
                await made.product.process.wait()
                await made.start()
        row.tell(held=await made.judge(CRASHED))


@pytest.mark.row("K4", ci=4, soak=50)
async def test_a_recorder_that_is_killed_while_it_catches_up_gets_there_in_the_end(
    folder: Path, rows: Rows, row: Row
) -> None:
    writer = open_writer(folder, segment_bytes=200_000)
    exchanges = [write_exchange(writer, answer=b"%d" % n, pieces=2) for n in range(row.times * 60)]
    writer.close()
    for _ in row.turns():
        process = await start(folder, rows)
        await asyncio.sleep(random.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    left = len(list(folder.glob("*.seg")))
    await drain(folder, rows)
    await rows.check(exchanges)
    await rows.check_accounts(len(exchanges))
    row.tell(held=f"{len(exchanges)} exchanges, {left} segments left for the last start")


@pytest.mark.row("K5", ci=0, soak=20)
@pytest.mark.parametrize("word", ["proxy", "recorder"])
async def test_running_out_of_memory_is_no_worse_than_a_kill(
    tmp_path: Path, database_url: str, row: Row, word: str
) -> None:
    async with world(tmp_path, database_url) as made:
        async with made.load(20):
            for _ in row.turns():
                await asyncio.sleep(LIVES_SECONDS)
                await _run_out_of_memory(made, word)
        verdict = await made.judge(CRASHED if word == "proxy" else None)
        row.tell(**{word: verdict})


async def _run_out_of_memory(made: World, word: str) -> None:
    (pid,) = processes(made.product, word)
    with memory_group(1 << 16) as group:
        (group / "cgroup.procs").write_text(str(pid))
        async with asyncio.timeout(30):
            while pid in processes(made.product, word):
                await asyncio.sleep(0.05)


@pytest.mark.row("K6", ci=1, soak=8)
async def test_a_worker_that_is_stopped_for_a_while_is_not_taken_for_dead(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    seconds = 60.0 if row.times > 1 else 6.0
    async with world(tmp_path, database_url) as made:
        async with made.load(20):
            for _ in row.turns():
                await asyncio.sleep(1.0)
                with stopped(processes(made.product, "proxy")):
                    await asyncio.sleep(seconds)
        verdict = await made.judge()
        assert "proxy_crashed" not in verdict.outcomes
        row.tell(held=verdict, seconds=seconds)


@pytest.mark.row("K2", ci=1, soak=20)
@pytest.mark.timeout(300)
async def test_kill_9_of_worker_and_recorder_together_keeps_streams_over_several_segments(
    tmp_path: Path, row: Row, database_url: str
) -> None:
    async with world(tmp_path, database_url) as made:
        killers = [Killer(made.product, word) for word in ("proxy", "recorder")]
        # Streams that outlive several segments (one is sealed at 5 s of age).
        async with made.load(4, 400, 20):
            for number in row.turns():
                await asyncio.sleep(LIVES_SECONDS + number % 3 * 2)
                await asyncio.gather(*[each.kill() for each in killers])
            long = await made.clients.ask(400, 20)
        assert long.is_whole
        row.tell(both=await made.judge(CRASHED))


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it went with its parent
