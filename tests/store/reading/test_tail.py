"""The tail: in the order of recording, none missed, none twice, however batches overlap."""

from __future__ import annotations

import asyncio
import datetime
import random
import uuid

import asyncpg
import pytest

from app.clock import utc_now
from app.store.database.pool import Pool
from app.store.filters.filter import LOWEST_ID, Filter
from app.store.reading import tail as tail_module
from app.store.reading.query import Query
from app.store.reading.tail import Cursor, Tail
from app.store.writing.ingest import Ingest
from app.telemetry.tasks import spawn
from tests.store.samples import NOON_NS, record

RECORDER = uuid.UUID("01890000-0000-7000-8000-000000000001")


@pytest.fixture
async def pool(database_url):
    made = Pool(database_url, size=10)
    yield made
    await made.close()


async def begin(query: Query, **wanted) -> Tail:
    moment, _ = await query.moment()
    return Tail(query, Filter(**wanted), Cursor(moment.now, LOWEST_ID))


async def collect(tail: Tail, count: int, within_seconds: float = 15.0) -> list[uuid.UUID]:
    found: list[uuid.UUID] = []
    async with asyncio.timeout(within_seconds):
        while len(found) < count:
            found += [exchange.id for _, exchange in await tail.next()]
            await asyncio.sleep(0.02)
    return found


def ids(records) -> list[uuid.UUID]:
    return [uuid.UUID(bytes=each.id) for each in records]


async def test_exchanges_come_once_whatever_their_own_time_is(pool):
    query, ingest = Query(pool), Ingest(pool, RECORDER)
    tail = await begin(query)
    late, early = record(at_ns=NOON_NS), record(at_ns=NOON_NS - 86_400_000_000_000)
    for each in (late, early):
        await ingest.deliver([each])
    assert await collect(tail, 2) == ids([late, early])
    await asyncio.sleep(0.3)
    assert await tail.next() == []


async def test_a_filter_holds(pool):
    query, ingest = Query(pool), Ingest(pool, RECORDER)
    tail = await begin(query, user="a")
    sent = [record(user=user) for user in "abcab"]
    await ingest.deliver(sent)
    assert sorted(await collect(tail, 2)) == sorted(ids(each for each in sent if each.user == "a"))


async def test_what_commits_late_is_neither_passed_over_nor_overtaken(pool, database_url):
    query, ingest = Query(pool), Ingest(pool, RECORDER)
    early, late = record(), record()
    await ingest.deliver([early])
    tail = await begin(query)
    slow = await asyncpg.connect(database_url)
    open_transaction = slow.transaction()
    await open_transaction.start()
    # Recorded now, in a transaction that stays open.
    await slow.execute("UPDATE exchanges SET recorded_at = clock_timestamp()")
    await ingest.deliver([late])
    for _ in range(10):
        assert await tail.next() == []
        await asyncio.sleep(0.05)
    await open_transaction.commit()
    await slow.close()
    assert await collect(tail, 2) == ids([early, late])


async def test_a_transaction_that_never_ends_holds_nobody_up_for_ever(pool, database_url, monkeypatch):
    monkeypatch.setattr(tail_module, "LONGEST_BATCH", datetime.timedelta(seconds=0.5))
    query, ingest = Query(pool), Ingest(pool, RECORDER)
    stuck = await asyncpg.connect(database_url)
    await stuck.execute("BEGIN")
    await stuck.execute("SELECT pg_current_xact_id()")
    tail = await begin(query)
    sent = record()
    await ingest.deliver([sent])
    assert await collect(tail, 1) == ids([sent])
    await stuck.close()


async def test_many_writers_and_a_tail_that_is_cut_again_and_again(pool, monkeypatch):
    monkeypatch.setattr(tail_module, "PAGE", 7)
    query = Query(pool)
    first = await begin(query)
    batches = [[record() for _ in range(random.randint(1, 9))] for _ in range(40)]

    async def write(mine) -> None:
        ingest = Ingest(pool, RECORDER)
        for batch in mine:
            await ingest.deliver(batch)

    async def follow(count: int) -> list[uuid.UUID]:
        seen: list[uuid.UUID] = []
        cursor = first.cursor
        async with asyncio.timeout(15):
            while len(seen) < count:
                tail = Tail(query, Filter(), Cursor.parse(str(cursor)))
                for _ in range(3):
                    page = await tail.next()
                    taken = page[: random.randint(0, len(page))]
                    seen += [exchange.id for _, exchange in taken]
                    cursor = taken[-1][0] if taken else cursor
                    if len(taken) < len(page):
                        break
                    cursor = tail.cursor
        return seen

    sent = [uuid.UUID(bytes=each.id) for batch in batches for each in batch]
    following = spawn(follow(len(sent)), name="follow")
    await asyncio.gather(*(write(batches[at::4]) for at in range(4)))
    seen = await following
    assert len(seen) == len(sent)
    assert set(seen) == set(sent)


@pytest.mark.parametrize("text", ["", "x", "1-", "-1", "1-zz", "9" * 30 + "-" + str(LOWEST_ID)])
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        Cursor.parse(text)


def test_a_cursor_is_read_back():
    cursor = Cursor(utc_now(), uuid.UUID(int=7))
    assert Cursor.parse(str(cursor)) == cursor
