"""The whole product, killed and starved in its parts: nothing that a client received is lost, nothing is twice."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from app.store.embedded import EmbeddedPostgres
from app.telemetry.tasks import spawn
from tests.cli.processes import children_of
from tests.fakes.upstream import ScriptedUpstream
from tests.faults.oracle import Clients, judge, oracle_upstream
from tests.product import Product, running_product


def pid_of(product: Product, word: str) -> int | None:
    """The child whose name holds a word."""
    children = children_of(product.process.pid)
    return next((pid for name, pid in children.items() if word in name), None)


async def kill(product: Product, word: str, times: int, every_seconds: float) -> int:
    """SIGKILLs a child again and again; gives how often."""
    killed = 0
    last = 0
    deadline = time.monotonic() + times * every_seconds * 10
    while killed < times and time.monotonic() < deadline:
        await asyncio.sleep(every_seconds)
        pid = pid_of(product, word)
        if pid is not None and pid != last:
            os.kill(pid, signal.SIGKILL)
            killed, last = killed + 1, pid
    return killed


async def recorded_rows(clients: Clients) -> dict[str, dict]:
    """All rows, once every exchange that a client saw is there."""
    wanted = {got.exchange_id for got in clients.received}
    deadline = time.monotonic() + 60
    while True:
        rows = await clients.product.exchanges(0)
        found = {row["id"]: row for row in rows}
        assert len(found) == len(rows), "an exchange is there twice"
        if wanted <= found.keys() or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.2)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [20])
async def test_kill_9_of_worker_and_recorder_under_load_loses_nothing(tmp_path, kills):
    async with (
        ScriptedUpstream(oracle_upstream) as upstream,
        running_product(tmp_path / "data", upstream=f"http://127.0.0.1:{upstream.port}") as product,
    ):
        clients = Clients(product)
        stop = asyncio.Event()
        load = [spawn(clients.until(stop, 20, 15), name="load") for _ in range(4)]
        # Streams that outlive several segments (one is sealed at 5 s of age); a killed worker breaks them.
        load += [spawn(clients.until(stop, 700, 20), name="load") for _ in range(2)]
        killed = await asyncio.gather(
            kill(product, "recorder", kills, 2.2), kill(product, "proxy", kills, 2.3)
        )
        assert list(killed) == [kills, kills]
        # The last one lives: a long stream ends whole.
        long = await clients.ask(600, 20)
        stop.set()
        await asyncio.gather(*load)
        assert long.is_whole
        rows = await recorded_rows(clients)
        await judge(clients, rows)
        outcomes = [row["outcome"] for row in rows.values()]
        assert "proxy_crashed" in outcomes and outcomes.count("completed") > kills


@pytest.mark.timeout(180)
async def test_a_thousand_exchanges_without_the_database_are_recorded_once_it_is_back(tmp_path):
    # A folder that the database's own user can reach.
    tmp_path.chmod(0o711)
    database = EmbeddedPostgres(tmp_path / "database")
    url = database.start()
    database.stop()
    try:
        async with (
            ScriptedUpstream(oracle_upstream) as upstream,
            running_product(
                tmp_path / "data",
                upstream=f"http://127.0.0.1:{upstream.port}",
                database_url=url,
                wait_for="proxy",
            ) as product,
        ):
            clients = Clients(product)
            for _ in range(50):
                answers = await asyncio.gather(*[clients.ask(3, 0) for _ in range(20)])
                assert all(answer.is_whole for answer in answers)
            await asyncio.to_thread(database.start)
            rows = await recorded_rows(clients)
            assert len(rows) == 1000
            await judge(clients, rows)
    finally:
        database.stop()


@pytest.mark.timeout(120)
async def test_a_stopped_database_in_mid_run_delays_no_call(tmp_path):
    async with (
        ScriptedUpstream(oracle_upstream) as upstream,
        running_product(tmp_path / "data", upstream=f"http://127.0.0.1:{upstream.port}") as product,
    ):
        clients = Clients(product)
        await asyncio.gather(*[clients.ask(3, 0) for _ in range(20)])
        await recorded_rows(clients)
        keeper = pid_of(product, "database")
        assert keeper is not None
        database = children_of(keeper)["postgres"]
        os.kill(database, signal.SIGKILL)
        for _ in range(10):
            answers = await asyncio.gather(*[clients.ask(3, 0) for _ in range(20)])
            assert all(answer.is_whole for answer in answers)
        rows = await recorded_rows(clients)
        assert len(rows) == 220
        await judge(clients, rows)
