"""PostgreSQL goes away, hangs, refuses or answers too late: no call notices, and nothing is lost or twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Row
from tests.faults.injectors import OwnDatabase, fill, small_disk, stopped
from tests.faults.judge import fetch
from tests.faults.world import World, world

HUNG_SECONDS = 60.0
OFFLINE_SECONDS = float(os.environ.get("SOAK_OFFLINE_SECONDS", "3600"))


@pytest.mark.row("P1", ci=2, soak=50)
async def test_postgresql_may_stop_and_start_as_it_likes(
    tmp_path: Path, own_database: OwnDatabase, row: Row
) -> None:
    async with world(tmp_path, own_database.url) as made:
        async with made.load(10):
            for number in row.turns():
                await asyncio.sleep(1.0 + random.random())
                end = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)[number % 3]
                await asyncio.to_thread(own_database.end, end)
                await asyncio.sleep(random.random())
                await asyncio.to_thread(own_database.start)
        row.tell(held=await made.judge())


@pytest.mark.row("P2", ci=0, soak=5)
async def test_a_postgresql_that_hangs_with_open_sockets_is_given_up_and_tried_again(
    tmp_path: Path, own_database: OwnDatabase, row: Row
) -> None:
    async with world(tmp_path, own_database.url) as made:
        slowest = 0.0
        async with made.load(10):
            for _ in row.turns():
                await asyncio.sleep(3.0)
                await goes_on(made)  # a complaint is said once until the store is back
                before = complaints(made)
                with stopped(own_database.pids()):
                    start = time.monotonic()
                    while complaints(made) == before and time.monotonic() - start < HUNG_SECONDS:
                        await asyncio.sleep(0.2)
                    slowest = max(slowest, time.monotonic() - start)
                    await asyncio.sleep(max(0.0, HUNG_SECONDS - (time.monotonic() - start)))
        assert slowest < 25, f"given up after {slowest:.0f} s"
        row.tell(held=await made.judge(), given_up_after=f"{slowest:.1f} s")


@pytest.mark.row("P3", ci=1, soak=20)
@pytest.mark.parametrize("fault", ["reset", "stall", "delay", "trickle"])
async def test_a_bad_way_to_postgresql_slows_no_call(
    tmp_path: Path, database_url: str, row: Row, fault: str
) -> None:
    async with world(tmp_path, database_url) as made:
        async with made.load(10):
            for _ in row.turns():
                await asyncio.sleep(1.0)
                await worsen(made, fault)
        row.tell(**{fault: await made.judge()})


async def worsen(made: World, fault: str) -> None:
    """Makes the way to the database bad for some seconds."""
    if fault == "reset":
        made.way.close()
    made.way.is_stalled = fault == "stall"
    made.way.delay_seconds = 0.5 if fault == "delay" else 0.0
    made.way.bytes_per_second = 1024 if fault == "trickle" else 0
    await asyncio.sleep(4.0)
    made.way.open()
    made.way.is_stalled, made.way.delay_seconds, made.way.bytes_per_second = False, 0.0, 0


@pytest.mark.row("P4", ci=0, soak=1, seconds=2 * OFFLINE_SECONDS + 900)
async def test_what_piled_up_while_postgresql_was_away_is_recorded_faster_than_it_came(
    tmp_path: Path, own_database: OwnDatabase, row: Row
) -> None:
    async with world(tmp_path, own_database.url) as made:
        await made.clients.ask(3, 0)
        await asyncio.sleep(2.0)
        await asyncio.to_thread(own_database.stop)
        started = time.monotonic()
        for _ in row.turns():
            async with made.load(24, 5, 20):
                while time.monotonic() - started < OFFLINE_SECONDS:
                    await asyncio.sleep(1.0)
        away = time.monotonic() - started
        waiting = made.clients.numbers
        await asyncio.to_thread(own_database.start)
        back = time.monotonic()
        first = 0.0
        while await recorded(made) < waiting:
            first = first or (time.monotonic() if await recorded(made) > 1 else 0.0)
            assert time.monotonic() - back < OFFLINE_SECONDS
            await asyncio.sleep(1.0)
        drained = max(time.monotonic() - (first or back), 0.1)
        assert waiting / drained >= 3 * waiting / away
        row.tell(
            held=await made.judge(),
            came=f"{waiting / away:.0f}/s for {away:.0f} s",
            drained=f"{waiting / drained:.0f}/s, begun {max(0.0, first - back):.1f} s after the return",
        )


@pytest.mark.row("P5", ci=3, soak=200)
async def test_a_commit_of_which_the_answer_is_lost_is_one_row(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url) as made:
        async with made.load(10):
            for number in row.turns():
                made.way.swallow_answer_to = b"COMMIT"
                async with asyncio.timeout(60):
                    while made.way.swallowed <= number:
                        await asyncio.sleep(0.02)
                    # Each fault by itself: several in a row only make it wait longer before the next try.
                    await goes_on(made)
        row.tell(held=await made.judge(), lost_answers=made.way.swallowed)


ROLE = "verbatim_fault"
REFUSALS = {
    "read-only": (
        f"ALTER ROLE {ROLE} SET default_transaction_read_only = on",
        f"ALTER ROLE {ROLE} RESET default_transaction_read_only",
    ),
    "locked out": (f"ALTER ROLE {ROLE} NOLOGIN", f"ALTER ROLE {ROLE} LOGIN"),
    "table missing": (
        "ALTER TABLE exchanges RENAME TO exchanges_away",
        "ALTER TABLE exchanges_away RENAME TO exchanges",
    ),
    "too many connections": (
        f"ALTER ROLE {ROLE} CONNECTION LIMIT 0",
        f"ALTER ROLE {ROLE} CONNECTION LIMIT -1",
    ),
    "out of memory or disk": (
        "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;"
        " CREATE TRIGGER full_disk BEFORE INSERT ON exchanges FOR EACH ROW EXECUTE FUNCTION full_disk()",
        "DROP TRIGGER full_disk ON exchanges",
    ),
}


@pytest.mark.row("P6", ci=1, soak=5)
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_postgresql_that_refuses_is_asked_again_and_nothing_goes_to_quarantine(
    tmp_path: Path, own_database: OwnDatabase, row: Row, refusal: str
) -> None:
    break_it, mend_it = REFUSALS[refusal]
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"
    url = await asyncio.to_thread(own_database.url_of_role, ROLE)
    async with world(tmp_path, url) as made:
        made.database_url = own_database.url
        async with made.load(10):
            for _ in row.turns():
                await asyncio.sleep(2.0)
                await asyncio.to_thread(own_database.run, break_it, cut)
                await asyncio.sleep(3.0)
                await asyncio.to_thread(own_database.run, mend_it)
        row.tell(**{refusal.replace(" ", "_"): await made.judge()})
        assert await quarantined(made) == 0


@pytest.mark.row("P6", ci=0, soak=3)
async def test_a_postgresql_whose_disk_is_really_full_gets_everything_once_there_is_room(
    tmp_path: Path, row: Row
) -> None:
    folder = Path("/tmp") / f"verbatim-full-{tmp_path.name}"
    with small_disk(folder, "size=220m"):
        database = OwnDatabase(folder, max_wal_size="48MB", min_wal_size="32MB", shared_buffers="16MB")
        database.start()
        try:
            async with world(tmp_path, database.url) as made:
                async with made.load(10):
                    for _ in row.turns():
                        await asyncio.sleep(3.0)
                        await asyncio.to_thread(fill, folder / "filler")
                        await asyncio.sleep(10.0)
                        (folder / "filler").unlink()
                        await asyncio.to_thread(database.start)  # a full disk for its log ends it
                row.tell(full_disk=await made.judge())
                assert await quarantined(made) == 0
        finally:
            database.stop()
    folder.rmdir()


@pytest.mark.row("P7", ci=0, soak=1)
async def test_deadlocks_and_serialisation_failures_cost_a_retry(
    tmp_path: Path, own_database: OwnDatabase, row: Row
) -> None:
    async with world(tmp_path, own_database.url) as made:
        await made.clients.ask(3, 0)
        await asyncio.sleep(2.0)
        await asyncio.to_thread(
            own_database.run,
            "CREATE FUNCTION unlucky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF random() < 0.1 THEN RAISE EXCEPTION 'unlucky' USING ERRCODE = CASE WHEN random() < 0.5"
            " THEN '40P01' ELSE '40001' END; END IF; RETURN NULL; END $$",
            "CREATE TRIGGER unlucky BEFORE INSERT ON exchanges FOR EACH STATEMENT EXECUTE FUNCTION unlucky()",
        )
        for _ in row.turns():
            async with made.load(20, 5, 10):
                await asyncio.sleep(180)
        row.tell(held=await made.judge(), seconds=180)
        assert await quarantined(made) == 0


def complaints(made: World) -> int:
    """How often the recorder has said that the store does not take records."""
    return made.product.log.read_bytes().count(b"store_does_not_take_records")


async def goes_on(made: World) -> None:
    """Waits until the recorder records."""
    there = await recorded(made)
    async with asyncio.timeout(60):
        while await recorded(made) == there:
            await asyncio.sleep(0.05)


async def recorded(made: World) -> int:
    """Rows, as far as the database tells."""
    return int((await fetch(made.database_url, "SELECT count(*) AS n FROM exchanges"))[0]["n"])


async def quarantined(made: World) -> int:
    """Exchanges in quarantine by the accounts."""
    found = await fetch(made.database_url, "SELECT coalesce(sum(quarantined), 0) AS n FROM segments")
    return int(found[0]["n"])
