"""What is older than the settings keep goes, by whole partitions."""

from __future__ import annotations

import asyncio
import datetime

from app.clock import utc_now
from app.recorder.housekeeping import PERIOD_SECONDS, RETRY_SECONDS, keep_horizon
from app.store.database.partitions import Partitions
from app.store.database.pool import Pool
from app.store.database.retention import Horizon
from app.telemetry.tasks import spawn


async def names(url: str) -> set[str]:
    pool = Pool(url, size=1)
    try:
        return {each.name for each in await Partitions(pool).listing()}
    finally:
        await pool.close()


async def test_partitions_past_the_horizon_are_dropped_and_the_others_stay(database_url):
    today = utc_now().date()
    pool = Pool(database_url, size=1)
    await Partitions(pool).make_for([today, today - datetime.timedelta(days=100)])
    await pool.close()
    before = await names(database_url)
    pauses: list[float] = []
    done = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        done.set()
        await asyncio.sleep(3600)

    keeper = spawn(keep_horizon(database_url, Horizon(30, 90), pause), name="retention")
    await asyncio.wait_for(done.wait(), 15)
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    gone = before - await names(database_url)
    assert {name.split("_")[0] for name in gone} >= {"transcripts", "pieces"}
    assert any(f"{today:%Y_%m}" in name for name in await names(database_url))
    assert pauses == [PERIOD_SECONDS]


async def test_a_database_that_is_away_is_asked_again_later():
    pauses: list[float] = []
    done = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            done.set()
            await asyncio.sleep(3600)

    keeper = spawn(keep_horizon("postgresql://nobody@127.0.0.1:1/none", Horizon(30), pause), name="retention")
    await asyncio.wait_for(done.wait(), 15)
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert pauses == [RETRY_SECONDS, RETRY_SECONDS]


async def test_without_a_horizon_nothing_is_asked():
    await asyncio.wait_for(keep_horizon("postgresql://nobody@127.0.0.1:1/none", Horizon()), 5)
