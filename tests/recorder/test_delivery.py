from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import asyncpg
import pytest

from app.clock import utc_now
from app.errors import FrameError, StoreUnavailableError
from app.recorder.assemble import Assembler
from app.recorder.delivery import STUCK, Delivery, Item
from app.recorder.record import make_record
from app.recorder.segment import ERASED, EXPIRED, QUARANTINED, RECORDED, Segment
from app.recorder.status import RecorderStatus
from app.recorder.transcript import Transcript
from app.store.database.pool import Pool
from app.store.database.retention import Horizon
from app.store.writing.ingest import Ingest
from app.store.writing.record import SegmentAccount
from tests.recorder.frames import Shelf, begin_of, frames_of
from tests.recorder.postgres_proxy import Gate, gate

BATCH = 500


@dataclass
class Drawer:
    """A quarantine that holds so many exchanges, in memory."""

    room: int = 1_000
    ids: list[bytes] = field(default_factory=list)

    def put(self, transcript: Transcript) -> bool:
        if len(self.ids) >= self.room:
            return False
        self.ids.append(transcript.id)
        return True


@dataclass
class Bench:
    """A delivery into a real database."""

    url: str
    pool: Pool
    drawer: Drawer = field(default_factory=Drawer)
    status: RecorderStatus = field(default_factory=RecorderStatus)
    horizon: Horizon = field(default_factory=Horizon)

    @property
    def delivery(self) -> Delivery:
        store = Ingest(self.pool, uuid.UUID(int=7), self.horizon)
        return Delivery(store, self.drawer, self.status, "host", lambda: None)

    async def value(self, sql: str, *arguments: object) -> object:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    pool = Pool(database_url)
    yield Bench(database_url, pool)
    await pool.close()


def items_of(number: int) -> list[Item]:
    assembler, shelf = Assembler(), Shelf()
    items = []
    for n in range(number):
        for frame in shelf.put(frames_of(begin_of(n))):
            if (transcript := assembler.take(shelf.segment, frame)) is not None:
                items.append((transcript, make_record(transcript)))
    return items


def account_of(counter: int) -> SegmentAccount:
    return Segment("s", ("0a0b0c0d", 0), counter, None).account()


async def test_a_batch_and_its_accounts_are_committed(bench: Bench) -> None:
    items = items_of(3)
    fates = await bench.delivery.deliver(items, [account_of(1)])
    assert [fate for _, fate in fates] == [RECORDED] * 3
    assert await bench.value("SELECT count(*) FROM exchanges") == 3
    assert await bench.value("SELECT count(*) FROM segments") == 1
    assert (bench.status.rows, bench.status.batches, bench.status.is_ready) == (3, 1, True)


async def test_a_replay_counts_as_recorded_and_adds_nothing(bench: Bench) -> None:
    items = items_of(3)
    await bench.delivery.deliver(items, [account_of(1)])
    fates = await bench.delivery.deliver(items, [account_of(1)])
    assert [fate for _, fate in fates] == [RECORDED] * 3
    assert await bench.value("SELECT count(*) FROM exchanges") == 3
    assert (bench.status.rows, bench.status.repeated) == (3, 3)


@pytest.mark.parametrize("bad", [[0], [499], [3, 4, 250]])
async def test_poison_among_five_hundred_stops_nobody_else(bench: Bench, bad: list[int]) -> None:
    items = items_of(BATCH)
    for place in bad:
        transcript, record = items[place]
        items[place] = (transcript, replace(record, method="P\0ST"))
    fates = dict(await bench.delivery.deliver(items, [account_of(1)]))
    poisoned = [items[place][0] for place in bad]
    assert bench.drawer.ids == [each.id for each in poisoned]
    assert all(fates[each] == QUARANTINED for each in poisoned)
    assert sum(fate == RECORDED for fate in fates.values()) == BATCH - len(bad)
    assert await bench.value("SELECT count(*) FROM exchanges") == BATCH - len(bad)
    assert await bench.value("SELECT sum(exchanges) FROM usage_hourly") == BATCH - len(bad)
    assert await bench.value("SELECT count(*) FROM segments") == 1
    assert bench.status.quarantined == len(bad)


@pytest.mark.parametrize("number", [1, 20])
async def test_what_was_derived_is_left_out_where_it_is_the_poison(bench: Bench, number: int) -> None:
    items = items_of(number)
    transcript, record = items[-1]
    assert record.content is not None
    content = replace(record.content, request_preview="a\0b")
    items[-1] = (transcript, replace(record, model="a\0b", content=content))
    fates = await bench.delivery.deliver(items, [])
    assert [fate for _, fate in fates] == [RECORDED] * number
    assert bench.drawer.ids == []
    kept = await bench.value(
        "SELECT capture_status FROM exchanges WHERE id = $1", uuid.UUID(bytes=transcript.id)
    )
    assert kept == "unreadable"
    assert await bench.value("SELECT count(*) FROM transcripts WHERE response_tip IS NOT NULL") == number
    assert bench.status.raw_only == 1


async def test_a_full_quarantine_keeps_the_exchange_where_it_is(bench: Bench) -> None:
    bench.drawer.room = 0
    items = items_of(2)
    items[1] = (items[1][0], replace(items[1][1], method="\0"))
    fates = await bench.delivery.deliver(items, [])
    assert [fate for _, fate in fates] == [RECORDED, STUCK]
    assert bench.status.is_stuck


async def test_a_body_that_cannot_be_read_again_costs_the_body_alone(bench: Bench) -> None:
    class Unreadable(Shelf):
        def payload_at(self, offset: int) -> object:  # type: ignore[override]
            raise FrameError("gone")

    assembler, shelf = Assembler(held_bytes_max=0), Unreadable()
    items = items_of(2)
    for frame in shelf.put(frames_of()):
        if (transcript := assembler.take(shelf.segment, frame)) is not None:
            body = transcript.response_body()
            _, record = items[0]
            assert record.content is not None
            content = replace(record.content, response_body=body)
            items.append((transcript, replace(record, id=transcript.id, content=content)))
    fates = await bench.delivery.deliver(items, [])
    assert [fate for _, fate in fates] == [RECORDED] * 3
    assert await bench.value("SELECT count(*) FROM exchanges WHERE capture_status = 'partial'") == 1
    assert await bench.value("SELECT count(*) FROM transcripts") == 2


async def test_what_was_erased_or_is_too_old_says_so(bench: Bench) -> None:
    bench.horizon = Horizon(keep_metadata_days=10)
    items = items_of(3)
    old = int((utc_now() - timedelta(days=11)).timestamp() * 1_000).to_bytes(6)
    items[0][0].id = old + items[0][0].id[6:]
    items[0] = (items[0][0], replace(items[0][1], id=items[0][0].id))
    await bench.delivery.deliver(items[2:], [])
    project = await bench.value("SELECT id FROM projects")
    await bench.value(
        "INSERT INTO tombstones (erasure_id, project_id, value_sha256) VALUES ($1, $2, sha256($3))",
        *(uuid.UUID(int=1), project, f"exchange:{uuid.UUID(bytes=items[1][0].id)}".encode()),
    )
    fates = await bench.delivery.deliver(items, [])
    assert [fate for _, fate in fates] == [EXPIRED, ERASED, RECORDED]
    assert (bench.status.expired, bench.status.erased) == (1, 1)


async def test_an_id_beyond_all_partitions_goes_to_quarantine(bench: Bench) -> None:
    items = items_of(3)
    items[1][0].id = b"\xff" * 16
    items[1] = (items[1][0], replace(items[1][1], id=b"\xff" * 16))
    fates = await bench.delivery.deliver(items, [])
    assert [fate for _, fate in fates] == [RECORDED, QUARANTINED, RECORDED]


async def test_what_is_recorded_is_known(bench: Bench) -> None:
    items = items_of(3)
    await bench.delivery.deliver(items[:2], [])
    ids = [transcript.id for transcript, _ in items]
    assert await bench.delivery.known(ids) == set(ids[:2])


async def test_delivery_waits_for_a_store_that_is_away(bench: Bench) -> None:
    async with gate(bench.url) as way:
        pool = Pool(way.url)
        measured: list[int] = []
        store = Ingest(pool, uuid.UUID(int=7))
        delivery = Delivery(store, bench.drawer, bench.status, "host", lambda: measured.append(1))
        await _close(way)
        task = asyncio.get_running_loop().create_task(delivery.deliver(items_of(5), [account_of(1)]))
        while bench.status.errors < 2:
            await asyncio.sleep(0.01)
        assert not task.done() and measured and not bench.status.is_ready
        way.open()
        fates = await task
        await pool.close()
    assert len(fates) == 5
    assert bench.status.is_ready and bench.status.last_error is None
    assert await bench.value("SELECT count(*) FROM exchanges") == 5


async def test_a_commit_whose_answer_is_lost_is_no_second_row(bench: Bench) -> None:
    async with gate(bench.url) as way:
        pool = Pool(way.url)
        delivery = Delivery(Ingest(pool, uuid.UUID(int=7)), bench.drawer, bench.status, "host", lambda: None)
        await delivery.deliver(items_of(1), [])
        way.swallow_answer_to = b"COMMIT"
        fates = await delivery.deliver(items_of(5), [account_of(1)])
        await pool.close()
    assert way.swallowed == 1
    assert [fate for _, fate in fates] == [RECORDED] * 5
    assert await bench.value("SELECT count(*) FROM exchanges") == 6
    assert await bench.value("SELECT sum(exchanges) FROM usage_hourly") == 6
    assert bench.status.repeated == 5


async def test_a_heartbeat_that_fails_is_no_reason_to_wait(bench: Bench) -> None:
    await bench.delivery.heartbeat(1.5, 99)
    assert await bench.value("SELECT lag_seconds FROM recorders WHERE host = 'host'") == 1.5
    pool = Pool("postgresql://nobody@127.0.0.1:1/none")
    delivery = Delivery(Ingest(pool, uuid.UUID(int=7)), bench.drawer, bench.status, "host", lambda: None)
    await delivery.heartbeat(0.0, 0)
    assert bench.status.last_error is not None and not bench.status.is_ready
    with pytest.raises(StoreUnavailableError):
        await Ingest(pool, uuid.UUID(int=7)).clock_skew_seconds()


async def _close(way: Gate) -> None:
    way.close()
    await asyncio.sleep(0)
