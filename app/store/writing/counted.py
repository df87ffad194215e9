"""Usage that several exchanges tell (a background response that is polled) is counted on the first that is recorded."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from app.store.database.pool import Pool
from app.store.database.retention import Horizon
from app.store.statements import statements
from app.store.writing.record import Usage
from app.store.writing.rows import Placed, columns

if TYPE_CHECKING:
    from app.store.database.pool import Connection

REPEATED = "repeated"
"""The cost status of an exchange whose usage is counted elsewhere."""
LEAST_DAYS = 90
"""For so long a response may be polled."""


async def count_once(connection: Connection, fresh: Sequence[Placed]) -> list[Placed]:
    """The exchanges of a batch as they count in sums: those that repeat a usage have none, here and in the store.

    In the batch's transaction, and only for exchanges that it inserted: so a replay changes nothing, and of two
    recorders the second waits for the first.
    """
    told = sorted(
        (each.project_id, each.record.authority, each.record.usage.counted_object, each.record.id)
        for each in fresh
        if each.record.usage.counted_object is not None
    )
    if not told:
        return list(fresh)
    sql = statements("ingest")
    rows = [(project, authority, digest, uuid.UUID(bytes=id)) for project, authority, digest, id in told]
    counted = await connection.fetch(sql["count_objects"], *columns(rows))
    repeated = {row[3].bytes: row[0] for row in rows}
    for row in counted:
        del repeated[row["exchange_id"].bytes]
    if not repeated:
        return list(fresh)
    places = sorted((project, uuid.UUID(bytes=each)) for each, project in repeated.items())
    await connection.execute(sql["uncount"], *columns(places), REPEATED)
    return [_uncounted(each) if each.record.id in repeated else each for each in fresh]


async def forget_counted(pool: Pool, horizon: Horizon, now: datetime.datetime) -> None:
    """Forgets what was counted on exchanges that are no longer kept, and long past: providers forget it as well."""
    oldest = horizon.oldest_metadata(now)
    if oldest is not None:
        before = min(oldest, now - datetime.timedelta(days=LEAST_DAYS))
        async with pool.transaction() as connection:
            await connection.execute(statements("ingest")["forget_counted"], before)


def _uncounted(placed: Placed) -> Placed:
    usage = Usage(placed.record.usage.verbatim, placed.record.usage.source, cost_status=None)
    return replace(placed, record=replace(placed.record, usage=usage))
