"""Verbatim is told to stop, is replaced, or crashes again and again: what was accepted is on record all the same."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest

from app.telemetry.tasks import spawn
from tests.faults.conftest import Row
from tests.faults.injectors import Killer
from tests.faults.judge import Allowed, fetch
from tests.faults.oracle import Received
from tests.faults.world import World, world
from tests.journal.segments import HEADER, NAME, header_bytes
from tests.journal.test_golden import GOLDEN

LONG = (150, 200)
"""Chunks and pause of a stream that outlives the drain by far."""
SHORT = (15, 30)
STOPPED = Allowed(frozenset({"proxy_stopped"}))
CUT_OFF = Allowed(frozenset({"proxy_stopped", "proxy_crashed"}))
PATIENT = Allowed(back_seconds=60.0)
CRASHED_PATIENT = Allowed(frozenset({"proxy_crashed"}), unanswered=True, back_seconds=60.0)
"""What crashed often is started again after some seconds only."""
RECORDER_DRAIN_SECONDS = 30.0


@pytest.mark.row("G1", ci=1, soak=50)
async def test_at_sigterm_short_streams_end_whole_and_long_ones_are_cut_and_recorded(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    streams, drain_seconds = (500, 8) if row.times > 20 else (40, 3)
    slowest = 0.0
    asyncio.get_running_loop().set_debug(False)  # five hundred streams are too many for it
    async with world(tmp_path, database_url, drain_seconds=drain_seconds) as made:
        for number in row.turns():
            if number:
                await made.start()
            short, long = await _under_way(made, streams // 2)
            start = time.monotonic()
            assert await made.product.stop() == 0
            slowest = max(slowest, time.monotonic() - start)
            assert all(each.is_whole for each in await asyncio.gather(*short))
            assert not any(each.is_whole for each in await asyncio.gather(*long))
        await made.start()
        verdict = await made.judge(STOPPED)
        assert verdict.outcomes["proxy_stopped"] == row.times * (streams // 2)
        assert slowest < drain_seconds + 20, f"ended after {slowest:.1f} s"
        row.tell(held=verdict, slowest_end=f"{slowest:.1f} s after SIGTERM")


@pytest.mark.row("G1", ci=1, soak=20)
async def test_a_second_sigterm_ends_it_at_once_and_loses_nothing(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url, drain_seconds=60) as made:
        slowest = 0.0
        for number in row.turns():
            if number:
                await made.start()
            _, long = await _under_way(made, 20)
            made.product.process.send_signal(signal.SIGTERM)
            await _until_ready_is(made, None)
            start = time.monotonic()
            assert await made.product.stop() != 0, "what was cut off is no clean end"
            slowest = max(slowest, time.monotonic() - start)
            await asyncio.gather(*long)
        assert slowest < 10, f"ended after {slowest:.1f} s"
        await made.start()
        row.tell(second=await made.judge(CUT_OFF), second_end=f"{slowest:.1f} s")


@pytest.mark.row("G2", ci=2, soak=100)
async def test_one_product_takes_over_from_another_in_the_same_folder_and_no_call_notices(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url, drain_seconds=10) as made:
        async with made.load(20, 20, 20):
            for _ in row.turns():
                await asyncio.sleep(0.5)
                old = made.product
                await made.start()  # new calls go to the new one from here on
                # Those that are on their way to the old one arrive, as behind a balancer.
                await asyncio.sleep(0.3)
                assert await old.stop() == 0
        row.tell(held=await made.judge())


@pytest.mark.row("G2", ci=1, soak=5)
async def test_segments_of_another_version_of_the_format_are_recorded_or_set_aside(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    journal = tmp_path / "data" / "journal"
    journal.mkdir(parents=True)
    shutil.copy(GOLDEN, journal / NAME)
    later = NAME.replace("0a1b2c3d", "ffffffff")
    (journal / later).write_bytes(header_bytes(msgspec.structs.replace(HEADER, format_version=2)))
    async with world(tmp_path, database_url) as made:
        for number in row.turns():
            if number:
                await made.product.stop()
                await made.start()
            await made.product.exchanges(1)
            await made.clients.ask(3, 0)
        await made.product.exchanges(1 + row.times)
        found = await fetch(database_url, "SELECT path FROM exchanges WHERE status = 200")
        assert [each["path"] for each in found].count("/v1/chat/completions") == 1
        assert not (journal / NAME).exists()
        assert not (journal / later).exists()
        assert (journal / "quarantine" / later).exists()


@pytest.mark.row("G3", ci=1, soak=20)
async def test_without_postgresql_it_is_ready_serves_and_ends_in_time_and_the_next_one_records(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    slowest = 0.0
    async with world(tmp_path, database_url) as made:
        await made.clients.ask(3, 0)
        made.way.close()
        for number in row.turns():
            if number:
                await made.start()
            assert await _readiness(made) == 200
            for got in await asyncio.gather(*[made.clients.ask(20, 10) for _ in range(10)]):
                assert got.is_whole
            start = time.monotonic()
            assert await made.product.stop() == 0
            slowest = max(slowest, time.monotonic() - start)
        made.way.open()
        await made.start()
        row.tell(held=await made.judge(), slowest_end=f"{slowest:.1f} s after SIGTERM")
        assert slowest < RECORDER_DRAIN_SECONDS + 15


@pytest.mark.row("G4", ci=1, soak=2)
@pytest.mark.parametrize("word", ["proxy-0", "recorder"])
async def test_a_child_that_crashes_whenever_it_starts_is_started_with_patience_and_calls_are_served(
    tmp_path: Path, database_url: str, row: Row, word: str
) -> None:
    seconds = 300.0 * (row.times - 1) or 8.0
    async with world(tmp_path, database_url, workers=2) as made:
        killer = Killer(made.product, word)
        end = time.monotonic() + seconds
        async with made.load(10, 20, 20):
            while time.monotonic() < end:
                await killer.kill()
        # The first starts follow at once, then the pause is doubled up to its longest.
        starts = made.product.log.read_bytes().count(b"child_ended child=" + word.encode())
        assert 2 <= starts <= 8 + seconds / 10, f"{starts} starts in {seconds:.0f} s"
        verdict = await made.judge(PATIENT if word == "recorder" else CRASHED_PATIENT)
        assert verdict.outcomes["completed"] > seconds
        row.tell(**{word.replace("-", "_"): verdict, "starts": f"{starts} in {seconds:.0f} s"})


async def _under_way(
    made: World, each: int
) -> tuple[list[asyncio.Task[Received]], list[asyncio.Task[Received]]]:
    """So many short and so many long streams, all of which have their head."""
    before = len(made.clients.received)
    short, long = (
        [spawn(made.clients.ask(*shape), name="stream") for _ in range(each)] for shape in (SHORT, LONG)
    )
    async with asyncio.timeout(60):
        while len(made.clients.received) < before + 2 * each:
            await asyncio.sleep(0.01)
    return short, long


async def _until_ready_is(made: World, status: int | None) -> None:
    async with asyncio.timeout(30):
        while await _readiness(made) != status:
            await asyncio.sleep(0.05)


async def _readiness(made: World) -> int | None:
    """The status of /readyz; None where nobody answers."""

    def ask() -> int | None:
        try:
            with urllib.request.urlopen(f"{made.product.proxy_url}/readyz", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return None

    return await asyncio.to_thread(ask)
