"""What the recorder does for the store now and then: it drops what is older, or more, than the settings keep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.clock import utc_now
from app.errors import StoreError
from app.store.conversations.writing import forget_conversations
from app.store.database.partitions import Partitions
from app.store.database.pool import Pool
from app.store.database.retention import Horizon, Retention
from app.store.writing.counted import forget_counted
from app.telemetry.logs import event_logger

PERIOD_SECONDS = 3600.0
SIZE_PERIOD_SECONDS = 600.0
"""Where a size is kept to."""
RETRY_SECONDS = 60.0

_events = event_logger("recorder")


async def keep_horizon(
    url: str, horizon: Horizon, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Drops partitions past the horizon at once and then every hour (every ten minutes where there is a limit of size),
    for as long as it is let; never raises for the store: what could not be dropped (somebody reads it, the database is
    away) is tried again a minute later."""
    if horizon == Horizon():
        return
    pool = Pool(url, size=1, application="verbatim retention")
    retention = Retention(Partitions(pool), horizon)
    try:
        while True:
            try:
                gone = await retention.run(utc_now())
                await forget_counted(pool, horizon, utc_now())
                await forget_conversations(pool, horizon, utc_now())
            except StoreError as error:
                _events.warning("retention_waits", error=str(error))
                await pause(RETRY_SECONDS)
                continue
            if gone:
                _events.info("retention_dropped", partitions=len(gone), names=",".join(gone))
            await pause(PERIOD_SECONDS if horizon.max_bytes is None else SIZE_PERIOD_SECONDS)
    finally:
        await pool.close()
