"""Upstreams that break off or fall silent: the client sees what it would see, and all is on record."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.conftest import Row
from tests.faults.judge import Allowed
from tests.faults.oracle import Received
from tests.faults.world import World, world

AT_ONCE = 20
BROKEN = Allowed(frozenset({"upstream_failed"}), unanswered=True)
LEFT = Allowed(frozenset({"client_left"}), unanswered=True)


@pytest.mark.row("U1", ci=50, soak=500)
async def test_an_upstream_that_resets_anywhere_is_seen_as_broken_and_recorded_as_that(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url) as made:
        async with made.load(5):
            for got in await _ask_all(made, row, "/reset"):
                assert not got.is_whole
        verdict = await made.judge(BROKEN)
        assert verdict.outcomes["upstream_failed"] == row.times
        assert verdict.broken + verdict.unanswered == row.times, "a neighbour broke off"
        row.tell(held=verdict)


@pytest.mark.row("U2", ci=20, soak=100)
@pytest.mark.parametrize("how", ["/stall", "/silent"])
async def test_an_upstream_that_falls_silent_holds_its_own_client_alone_and_as_long_as_it_likes(
    tmp_path: Path, database_url: str, row: Row, how: str
) -> None:
    async with world(tmp_path, database_url) as made:
        async with made.load(5):
            for got in await _ask_all(made, row, how, leave_after=1.0):
                assert got.left
        await _until_nothing_is_under_way(made)
        verdict = await made.judge(LEFT)
        assert verdict.outcomes["client_left"] == row.times
        row.tell(**{how[1:]: verdict})


async def _ask_all(made: World, row: Row, how: str, leave_after: float | None = None) -> list[Received]:
    """A call a turn, some of them at the same time."""
    turns, found = row.turns(), []

    async def ask_on() -> None:
        for _ in turns:
            found.append(await made.clients.ask(random.randint(1, 20), 5, how, leave_after))

    await asyncio.gather(*[ask_on() for _ in range(AT_ONCE)])
    return found


async def _until_nothing_is_under_way(made: World) -> None:
    """Each connection to the upstream has ended or waits for another call: no slot is lost."""
    async with asyncio.timeout(10):
        while await made.metric("verbatim_exchanges_in_flight") > 0:
            await asyncio.sleep(0.05)
        while _open(made) > await made.metric("verbatim_upstream_connections_idle"):
            await asyncio.sleep(0.2)


def _open(made: World) -> int:
    return sum(not each.closed.is_set() for each in made.upstream.connections)
