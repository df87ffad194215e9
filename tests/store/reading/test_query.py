"""Reading: pages, filters, single exchanges, and bytes that are the bytes that went in."""

from __future__ import annotations

import dataclasses
import datetime
import os
import random
import uuid

import pytest

from app.clock import utc_now
from app.errors import StoreError
from app.store.database.pool import Pool
from app.store.filters.filter import Filter
from app.store.reading.query import Query
from app.store.reading.stored import StoredExchange
from app.store.slices.pieces import RAW, HeldBody, node_of
from app.store.writing.ingest import Heartbeat, Ingest
from app.store.writing.record import SLICE_BYTES, Record, SegmentAccount
from tests.store.conftest import RECORDER
from tests.store.samples import NOON_NS, record, talk

SECOND_NS = 1_000_000_000
AWAY = uuid.UUID("01900000-0000-7000-8000-000000000000")


@pytest.fixture
def query(pool: Pool) -> Query:
    return Query(pool)


def uid(made: Record) -> uuid.UUID:
    return uuid.UUID(bytes=made.id)


async def read_both(query: Query, made: Record) -> tuple[bytes, bytes]:
    bodies = []
    for body in (await query.request_body(uid(made)), await query.response_body(uid(made))):
        assert body is not None
        data = b"".join([each async for each in body.chunks])
        assert len(data) == body.length_bytes
        assert HeldBody(data).sha256 == body.sha256
        bodies.append(data)
    return bodies[0], bodies[1]


PATTERN = random.Random(1).randbytes(1 << 20)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b'{"model": "gpt-4o"}' * 150,
        b"\0" * 3000,
        os.urandom(3000),
        PATTERN * 3 + PATTERN[:-1],
        PATTERN * 4,
        PATTERN * 4 + b"y",
        b"data: {}\n\n" * (SLICE_BYTES // 5),
        PATTERN * 20,
    ],
    ids=["empty", "one", "3k", "nuls", "random", "slice-1", "slice", "slice+1", "sse-8M", "20M"],
)
async def test_a_body_reads_back_byte_for_byte(ingest: Ingest, query: Query, body: bytes) -> None:
    made = talk(body, body[::-1])
    await ingest.deliver([made])
    request, response = await read_both(query, made)
    assert request == body
    assert response == body[::-1]


async def test_a_body_that_begins_with_anothers_node_is_not_taken_for_its_continuation(
    ingest: Ingest, query: Query
) -> None:
    victim = b"v" * SLICE_BYTES
    node = node_of(None, victim)
    one, two = talk(victim + b"tail", b""), talk(node + b"tail", node)
    await ingest.deliver([one])
    await ingest.deliver([two])
    assert (await read_both(query, one))[0] == victim + b"tail"
    assert await read_both(query, two) == (node + b"tail", node)


async def test_bodies_that_share_slices_are_kept_once_and_read_apart(
    ingest: Ingest, query: Query, pool: Pool
) -> None:
    first = os.urandom(SLICE_BYTES)
    made = [talk(first, b""), talk(first + b"a", first), talk(first + b"b", b"")]
    await ingest.deliver(made[:1])
    await ingest.deliver(made)
    for each, wanted in zip(made, (first, first + b"a", first + b"b"), strict=True):
        assert (await read_both(query, each))[0] == wanted
    async with pool.transaction(readonly=True) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pieces WHERE raw_bytes = $1", SLICE_BYTES) == 1


async def test_a_body_that_is_damaged_or_gone_is_never_passed_for_whole(
    ingest: Ingest, query: Query, pool: Pool
) -> None:
    made = talk(os.urandom(3000), b"x" * (SLICE_BYTES + 1))
    await ingest.deliver([made])
    async with pool.transaction() as connection:
        await connection.execute(
            "UPDATE pieces SET data = overlay(data PLACING '\\x00' FROM 9) WHERE coding = $1", RAW
        )
        await connection.execute("DELETE FROM pieces WHERE raw_bytes = $1", SLICE_BYTES)
    request = await query.request_body(uid(made))
    assert request is not None
    with pytest.raises(StoreError, match="damaged"):
        [each async for each in request.chunks]
    with pytest.raises(StoreError, match="not all there"):
        await query.response_body(uid(made))


async def test_headers_and_chunk_times_come_back_as_they_were(ingest: Ingest, query: Query) -> None:
    made = talk(b"a", b"b")
    assert made.content is not None
    unanswered = talk(
        b"a", b"", content=dataclasses.replace(made.content, response_headers=None, chunk_times=[])
    )
    await ingest.deliver([made, unanswered])
    headers = await query.headers(uid(made))
    assert headers is not None
    assert headers.request == made.content.request_headers
    assert headers.response == made.content.response_headers
    assert headers.trailers == []
    assert await query.chunk_times(uid(made)) == made.content.chunk_times
    headers = await query.headers(uid(unanswered))
    assert headers is not None and headers.response is None
    assert await query.chunk_times(uid(unanswered)) == []


async def test_what_is_not_kept_is_none_not_empty(ingest: Ingest, query: Query) -> None:
    metadata = record(request_bytes=5, request_sha256=b"s" * 32)
    made = talk(b"a", b"b")
    assert made.content is not None
    secret = talk(
        b"a",
        b"b",
        request_sha256=None,
        response_sha256=None,
        content=dataclasses.replace(made.content, request_body=None, response_body=None),
    )
    await ingest.deliver([metadata, secret])
    for each in (uid(metadata), uid(secret), AWAY):
        assert await query.request_body(each) is None
        assert await query.response_body(each) is None
    assert await query.headers(uid(metadata)) is None
    assert await query.chunk_times(AWAY) is None
    assert await query.get_exchange(AWAY) is None
    stored = await query.get_exchange(uid(metadata))
    assert stored is not None and stored.request_preview is None


async def test_one_exchange_is_read_with_all_that_was_delivered(ingest: Ingest, query: Query) -> None:
    made = talk(b"a", b"b", user="ann", tags={"a": "ü", "b": ""})
    await ingest.deliver([made])
    stored = await query.get_exchange(uid(made))
    assert stored is not None
    for field in dataclasses.fields(StoredExchange):
        if hasattr(made, field.name) and field.name not in ("id", "usage"):
            assert getattr(stored, field.name) == getattr(made, field.name), field.name
    assert stored.usage == made.usage.verbatim
    assert (stored.input_tokens, stored.cache_write_tokens) == (7, None)
    assert (stored.request_preview, stored.response_preview) == ("Hello", "你好")
    assert stored.recorder_id == RECORDER
    assert abs((utc_now() - stored.recorded_at).total_seconds()) < 60


async def test_pages_by_key_show_each_exchange_once_in_both_directions(ingest: Ingest, query: Query) -> None:
    month_ns = 31 * 86_400 * SECOND_NS
    made = [talk(b"%d" % n, b"", at_ns=NOON_NS + n * month_ns // 3) for n in range(11)]
    await ingest.deliver(made)
    oldest_first = [uid(each) for each in made]
    for order, wanted in (("asc", oldest_first), ("desc", oldest_first[::-1])):
        seen: list[uuid.UUID] = []
        after = None
        while True:
            page = await query.list_exchanges(Filter(), 4, after, "asc" if order == "asc" else "desc")
            seen += [each.id for each in page.exchanges]
            after = seen[-1]
            assert all(each.request_preview == "Hello" for each in page.exchanges)
            if not page.has_more:
                break
        assert seen == wanted
    assert (await query.list_exchanges(Filter(), after=oldest_first[0])).exchanges == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), [0, 1, 2]),
        (Filter(model="gpt-4o"), [0, 2]),
        (Filter(path="/v1/embeddings"), [1]),
        (Filter(status=429), [1]),
        (Filter(outcome="client_left"), [2]),
        (Filter(user="ann"), [0]),
        (Filter(key="k2"), [1]),
        (Filter(project="other"), [2]),
        (Filter(project="default"), [0, 1]),
        (Filter(project="nobody's"), []),
        (Filter(upstream_id="chatcmpl-1"), [0]),
        (Filter(upstream="groq"), [1]),
        (Filter(method="GET"), [2]),
        (Filter(conversation="c"), [2]),
        (Filter(model="gpt-4o", user="ann", status=200), [0]),
        (Filter(model="gpt-4o", user="nobody"), []),
        (Filter(since=datetime.datetime(2026, 11, 18, 12, 0, 1, tzinfo=datetime.UTC)), [1, 2]),
        (Filter(until=datetime.datetime(2026, 11, 18, 12, 0, 1, tzinfo=datetime.UTC)), [0]),
        (Filter(since=datetime.datetime(1960, 1, 1, tzinfo=datetime.UTC)), [0, 1, 2]),
        (Filter(user="nul\0"), []),
        (Filter(user="lone\ud800"), []),
        (Filter(status=1 << 40), []),
    ],
)
async def test_a_filter_finds_what_it_says(
    ingest: Ingest, query: Query, wanted: Filter, found: list[int]
) -> None:
    made = [
        record(user="ann", upstream_id="chatcmpl-1"),
        record(
            at_ns=NOON_NS + SECOND_NS, path="/v1/embeddings", status=429, key="k2", upstream="groq", model="m"
        ),
        record(
            at_ns=NOON_NS + 2 * SECOND_NS,
            outcome="client_left",
            project="other",
            method="GET",
            conversation="c",
        ),
    ]
    await ingest.deliver(made)
    page = await query.list_exchanges(wanted, order="asc")
    assert [each.id for each in page.exchanges] == [uid(made[n]) for n in found]
    assert not page.has_more


async def test_recorders_and_accounts_are_read(ingest: Ingest, query: Query) -> None:
    assert await query.recorder_status() == []
    await ingest.heartbeat(Heartbeat("host", "0.1.0", utc_now(), 2.5, 10))
    await ingest.account([SegmentAccount("b", 0, n, n * 10, n * 10 + 9, recorded=9, off=1) for n in range(3)])
    [status] = await query.recorder_status()
    assert (status.id, status.lag_seconds) == (RECORDER, 2.5)
    assert 0 <= status.silent_seconds < 60
    account = await query.account("b", 0)
    assert (account.segments, account.first_accept_number, account.last_accept_number) == (3, 0, 29)
    assert (account.recorded, account.off) == (27, 3)
    assert (await query.account("nobody's", 0)).segments == 0
