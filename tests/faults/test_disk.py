"""The journal's disk is full, fails, or is taken away: calls pass or are refused as set, what is lost is counted."""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.faults.conftest import Row
from tests.faults.injectors import OwnDatabase, fill, immutable, processes, small_disk
from tests.faults.judge import Allowed, fetch
from tests.faults.world import World, world

FULL_SECONDS = 1.5
LOSSES = Allowed(missing=True)
TINY: dict[str, Any] = {"journal_min_free_bytes": 1 << 16}
"""The budget is more than these disks have, so that it is the disk that is full."""


@contextmanager
def small_journal(folder: Path, options: str) -> Iterator[Path]:
    """The journal's folder of a world, on a small disk of its own."""
    with small_disk(folder / "data" / "journal", options) as journal:
        yield journal


async def while_full(journal: Path, seconds: float = FULL_SECONDS) -> None:
    """Takes all the room for a while."""
    filler = journal / "filler"
    await asyncio.to_thread(fill, filler)
    await asyncio.sleep(seconds)
    filler.unlink()


@pytest.mark.row("D1", ci=0, soak=20)
async def test_on_a_full_disk_calls_pass_and_what_is_not_recorded_is_counted(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    with small_journal(tmp_path, "size=16m") as journal:
        async with world(tmp_path, database_url, **TINY) as made:
            async with made.load(20):
                for _ in row.turns():
                    await asyncio.sleep(1.0)
                    await while_full(journal)
            dropped = await made.metric("verbatim_exchanges_dropped_total")
            assert dropped, "the disk was never full"
            assert all(each.is_whole for each in made.clients.received), "a call noticed"
            row.tell(held=await made.judge(LOSSES), dropped=f"{dropped:.0f}")


@pytest.mark.row("D2", ci=0, soak=20)
async def test_on_a_full_disk_calls_are_refused_before_the_upstream_is_asked(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    with small_journal(tmp_path, "size=16m") as journal:
        async with world(tmp_path, database_url, **TINY, journal_on_full="fail_closed") as made:
            async with made.load(20, 3, 5):
                for _ in row.turns():
                    await asyncio.sleep(1.0)
                    await while_full(journal)
            got = made.clients.received
            refused = sum(each.status == 503 for each in got)
            answered = sum(each.status == 200 for each in got)
            assert refused, "the disk was never full"
            assert refused + answered == len(got)
            assert len(made.upstream.requests) == answered, (
                "the upstream was asked for a call that was refused"
            )
            row.tell(held=await made.judge(LOSSES), refused=refused)


@pytest.mark.row("D3", ci=4, soak=100)
async def test_a_limit_on_the_size_of_files_costs_what_did_not_fit_and_no_more(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    unlimited = resource.RLIM_INFINITY
    async with world(tmp_path, database_url) as made:
        (worker,) = processes(made.product, "proxy")
        async with made.load(10):
            for _ in row.turns():
                limit = random.choice((0, random.randrange(4096), random.randrange(1 << 20)))
                resource.prlimit(worker, resource.RLIMIT_FSIZE, (limit, unlimited))
                await asyncio.sleep(0.3)
                resource.prlimit(worker, resource.RLIMIT_FSIZE, (unlimited, unlimited))
                await asyncio.sleep(0.2)
        assert processes(made.product, "proxy") == [worker], "the worker died"
        assert all(each.is_whole for each in made.clients.received), "a call noticed"
        row.tell(held=await made.judge(LOSSES))


@pytest.mark.row("D4", ci=0, soak=5)
async def test_without_inodes_calls_pass_and_recording_goes_on_once_there_are_some(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    with small_journal(tmp_path, "size=64m,nr_inodes=40") as journal:
        async with world(tmp_path, database_url, **TINY) as made:
            async with made.load(10):
                for _ in row.turns():
                    await asyncio.sleep(1.0)
                    taken = _take_inodes(journal)
                    await asyncio.sleep(7.0)  # longer than a segment is written to
                    for path in taken:
                        path.unlink()
            assert all(each.is_whole for each in made.clients.received), "a call noticed"
            row.tell(inodes=await made.judge(LOSSES))


@pytest.mark.row("D4", ci=0, soak=5)
async def test_while_nothing_can_be_made_in_the_journals_folder_calls_pass(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url) as made:
        async with made.load(10):
            for _ in row.turns():
                await asyncio.sleep(1.0)
                with immutable(tmp_path / "data" / "journal"):
                    await asyncio.sleep(7.0)  # longer than a segment is written to
                await recorded_again(made)
        assert all(each.is_whole for each in made.clients.received), "a call noticed"
        row.tell(immutable=await made.judge(LOSSES))


@pytest.mark.row("D4", ci=1, soak=5)
async def test_a_journal_that_is_deleted_under_the_product_is_made_anew(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url) as made:
        await recorded_again(made)
        pids = processes(made.product)
        async with made.load(10):
            for _ in row.turns():
                await asyncio.sleep(1.0)
                await asyncio.to_thread(shutil.rmtree, tmp_path / "data" / "journal", ignore_errors=True)
                await recorded_again(made)
        assert set(processes(made.product)) >= set(pids), "a process died of it"
        assert all(each.is_whole for each in made.clients.received), "a call noticed"
        row.tell(deleted=f"{len(made.clients.received)} calls, all whole")


@pytest.mark.row("D5", ci=0, soak=20)
async def test_on_a_full_disk_what_is_recorded_is_deleted_and_makes_room(
    tmp_path: Path, own_database: OwnDatabase, row: Row
) -> None:
    with small_journal(tmp_path, "size=4m") as journal:
        async with world(tmp_path, own_database.url, **TINY) as made:
            for _ in row.turns():
                await asyncio.to_thread(own_database.stop)
                before = await made.metric("verbatim_exchanges_dropped_total")
                async with made.load(20, 100, 0):
                    async with asyncio.timeout(60):
                        while await made.metric("verbatim_exchanges_dropped_total") == before:
                            await asyncio.sleep(0.1)
                await asyncio.to_thread(own_database.start)
                await recorded_again(made)
            used = sum(path.stat().st_size for path in journal.glob("*.seg"))
            row.tell(held=await made.judge(LOSSES), left=f"{used} bytes of 4 MiB in the journal")
            assert used < 2 << 20, "there is no room again"


async def recorded_again(made: World, seconds: float = 60.0) -> None:
    """Waits until a fresh call is on record."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        got = await made.clients.ask(3, 0)
        asked = "SELECT 1 FROM exchanges WHERE id = $1", uuid.UUID(got.exchange_id)
        for _ in range(20):
            with suppress(asyncpg.UndefinedTableError):  # the database may never have been there yet
                if await fetch(made.database_url, *asked):
                    return
            await asyncio.sleep(0.1)
    raise TimeoutError(f"nothing is recorded after {seconds} s")


def _take_inodes(folder: Path) -> list[Path]:
    """Makes files until there can be no more."""
    taken: list[Path] = []
    for number in range(1_000):
        path = folder / f"inode-{number}"
        try:
            path.touch()
        except OSError:
            return taken
        taken.append(path)
    raise AssertionError("there are inodes without end")
