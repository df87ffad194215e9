"""Batches: once each, whole or not at all."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.clock import new_id, utc_now
from app.errors import PoisonError, StoreMisconfiguredError, StoreUnavailableError
from app.store.database.pool import Pool
from app.store.database.retention import Horizon
from app.store.sums.histogram import bucket, counted
from app.store.writing.ingest import Heartbeat, Ingest
from app.store.writing.record import Record, SegmentAccount, Usage
from tests.postgres import PostgresServer
from tests.store.conftest import RECORDER
from tests.store.cut import CommitCutter
from tests.store.samples import NOON_NS, record, talk

Ask = Callable[[str], str]
DAY_NS = 86_400 * 1_000_000_000


@pytest.fixture
def ask(postgres_server: PostgresServer, database_url: str) -> Ask:
    return lambda statement: postgres_server.psql(database_url, statement)


EVERYTHING = """
SELECT (SELECT count(*) FROM exchanges), (SELECT count(*) FROM transcripts), (SELECT count(*) FROM pieces),
    (SELECT coalesce(sum(exchanges), 0) || ' ' || coalesce(sum(input_tokens), 0) FROM usage_hourly),
    (SELECT coalesce(sum(exchanges), 0) FROM usage_daily_users), (SELECT count(*) FROM segments)
"""


async def test_a_replayed_batch_doubles_no_row_and_no_sum(ingest: Ingest, ask: Ask) -> None:
    batch = [talk(b"question %d" % n, b"answer", user="ann") for n in range(5)]
    account = SegmentAccount("0badcafe", 0, 1, 1, 5, recorded=5)
    first = await ingest.deliver(batch, [account])
    assert first.recorded == {each.id for each in batch}
    before = ask(EVERYTHING)
    # 5 requests, one answer and two header lists that they share
    assert before == "5|5|8|5 35|5|1"
    again = await ingest.deliver(batch, [account])
    assert again.recorded == again.erased == again.expired == frozenset()
    assert ask(EVERYTHING) == before


async def test_a_batch_that_is_half_known_adds_the_other_half(ingest: Ingest, ask: Ask) -> None:
    known, new = talk(b"a", b"b"), talk(b"c", b"d")
    await ingest.deliver([known])
    assert (await ingest.deliver([known, new, new])).recorded == {new.id}
    assert ask("SELECT sum(exchanges) FROM usage_hourly") == "2"


async def test_every_column_of_a_row_is_what_was_delivered(ingest: Ingest, ask: Ask) -> None:
    made = talk(
        b"{}", b"x", user="ann", conversation="c1", upstream_id="chatcmpl-1", reason="r", retry_count=2
    )
    await ingest.deliver([made])
    row = ask(
        "SELECT project_id, id, week, started_at = to_timestamp(1795003200), duration_us, ttft_us, method, path, route,"
        " model, status, outcome, reason, stream, request_bytes, response_bytes, usage, usage_source, input_tokens,"
        " cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, total_tokens, end_user, key,"
        " conversation, tags, retry_count, log_mode, recorder_id, boot, slot, upstream_id FROM exchanges"
    )
    assert row == (
        f"1|{uuid.UUID(bytes=made.id)}|2026-11-16|t|1500000|300000|POST|/v1/chat/completions|chat.completions|"
        'gpt-4o|200|completed|r|t|2|1|{"prompt_tokens": 7}|reported|7|2||11|3|18|ann|00112233aabbccdd|'
        f'c1|{{"team": "blue"}}|2|full|{RECORDER}|0badcafe|0|chatcmpl-1'
    )


@pytest.mark.parametrize(
    ("kind", "value", "until"),
    [
        ("user", "ann", "infinity"),
        ("key", "00112233aabbccdd", "infinity"),
        ("conversation", "c1", "infinity"),
        ("user", "ann", "2026-11-18T12:00:00Z"),
    ],
)
async def test_a_tombstone_stops_everything(
    ingest: Ingest, ask: Ask, kind: str, value: str, until: str
) -> None:
    await ingest.deliver([record(project="other"), record(key="other")])
    before = ask(EVERYTHING)
    ask(
        "INSERT INTO tombstones (project_id, value_sha256, erasure_id, until) SELECT"
        f" p.id, sha256('{kind}:{value}'), gen_random_uuid(), '{until}' FROM projects p WHERE name = 'default'"
    )
    dead = talk(b"secret", b"answer", user="ann", conversation="c1")
    other = talk(b"other", b"answer", user="ben", key="ffffffffffffffff", conversation="c2")
    done = await ingest.deliver([dead, other])
    assert done.erased == {dead.id}
    assert done.recorded == {other.id}
    assert ask("SELECT count(*) FROM pieces") == "4"
    assert before != ask(EVERYTHING)
    assert ask("SELECT sum(exchanges) FROM usage_hourly") == "3"


async def test_what_began_after_an_erasure_of_a_user_is_kept(ingest: Ingest, ask: Ask) -> None:
    await ingest.deliver([record()])
    ask(
        "INSERT INTO tombstones (project_id, value_sha256, erasure_id, until) VALUES"
        " (1, sha256('user:ann'), gen_random_uuid(), '2026-11-18T11:59:59Z')"
    )
    later = record(user="ann")
    assert (await ingest.deliver([later])).recorded == {later.id}


async def test_an_erased_exchange_stays_erased_when_its_journal_is_replayed(ingest: Ingest, ask: Ask) -> None:
    dead = talk(b"a", b"b")
    await ingest.deliver([dead])
    text = str(uuid.UUID(bytes=dead.id))
    ask(
        "INSERT INTO tombstones (project_id, value_sha256, erasure_id) VALUES"
        f" (1, sha256('exchange:{text}'), gen_random_uuid())"
    )
    ask(f"DELETE FROM exchanges WHERE id = '{text}'")
    assert (await ingest.deliver([dead])).erased == {dead.id}
    assert ask("SELECT count(*) FROM exchanges") == "0"


async def test_what_is_older_than_the_horizon_is_expired_not_inserted(pool: Pool, ask: Ask) -> None:
    ingest = Ingest(pool, RECORDER, Horizon(keep_content_days=10, keep_metadata_days=100))
    now_ns = int(utc_now().timestamp()) * 1_000_000_000
    fresh, stale, ancient = (talk(b"q%d" % days, b"", at_ns=now_ns - days * DAY_NS) for days in (1, 20, 200))
    done = await ingest.deliver([fresh, stale, ancient])
    assert done.recorded == {fresh.id, stale.id}
    assert done.expired == {ancient.id}
    assert ask("SELECT count(*) FROM transcripts") == "1"


async def test_a_missing_partition_is_made_and_the_batch_goes_in(ingest: Ingest, ask: Ask) -> None:
    # 2026-11-30 is a Monday; the week holds the turn of a month
    turn = int(datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC).timestamp()) * 1_000_000_000
    await ingest.deliver(
        [talk(b"a", b"b", at_ns=at) for at in (NOON_NS, turn - 1_000_000, turn, turn + 400 * DAY_NS)]
    )
    names = ask(
        "SELECT relid::regclass FROM pg_partition_tree('exchanges') WHERE isleaf ORDER BY 1::text"
    ).split()
    assert names == ["exchanges_m2026_11", "exchanges_m2026_12", "exchanges_m2028_01"]
    assert ask("SELECT count(*) FROM exchanges_m2026_11") == "2"
    assert ask("SELECT count(*) FROM transcripts_w2026_11_30") == "2"


async def test_many_recorders_that_miss_the_same_partitions_all_succeed(pool: Pool, ask: Ask) -> None:
    await asyncio.gather(*(Ingest(pool, RECORDER).deliver([talk(b"a", b"b")]) for _ in range(4)))
    assert ask("SELECT count(*) FROM exchanges") == "4"


async def test_recorders_that_write_the_same_in_any_order_do_not_deadlock(
    database_url: str, ask: Ask
) -> None:
    pools = [Pool(database_url) for _ in range(4)]
    ingests = [Ingest(pool, RECORDER) for pool in pools]
    weeks = [NOON_NS, NOON_NS + 7 * DAY_NS]
    await ingests[0].deliver([talk(b"a", b"b", at_ns=at) for at in weeks])

    def batch(turn: int) -> list[Record]:
        # Ids are random within a millisecond: each batch has the same pieces and sums in another order.
        return [
            talk(
                b"%d %d" % (turn, n) * 100,
                b"",
                at_ns=weeks[n % 2],
                user=f"u{n % 50} {turn}",
                model=f"m{n % 50}",
            )
            for n in range(200)
        ]

    for turn in range(5):
        await asyncio.gather(*(ingest.deliver(batch(turn)) for ingest in ingests))
    assert ask("SELECT sum(exchanges) FROM usage_hourly") == str(2 + 5 * 4 * 200)
    for pool in pools:
        await pool.close()


@pytest.mark.parametrize(
    "poison",
    [
        {"model": "nul \0"},
        {"model": "lone \ud800"},
        {"duration_us": 1 << 70},
        {"status": 70_000},
        {"usage": Usage('{"a": "\\u0000"}')},
        {"usage": Usage("{")},
        {"usage": Usage('{"a": 1e1000000}')},
        {"model": "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(8000))},
        {"project": "nul \0"},
        {"at_ns": 253_402_300_799 * 1_000_000_000, "started_at": utc_now()},
    ],
    ids=lambda poison: next(iter(poison)),
)
async def test_a_poisonous_value_is_told_apart_and_leaves_nothing(
    ingest: Ingest, ask: Ask, poison: dict[str, Any]
) -> None:
    await ingest.deliver([record()])
    with pytest.raises(PoisonError) as caught:
        await ingest.deliver([talk(b"a", b"b"), record(**poison)])
    assert "nul" not in str(caught.value) and "lone" not in str(caught.value)
    assert ask("SELECT count(*) FROM exchanges") == "1"
    assert ask("SELECT sum(exchanges) FROM usage_hourly") == "1"
    assert len((await ingest.deliver([talk(b"a", b"b")])).recorded) == 1


async def test_a_backend_killed_in_the_middle_leaves_nothing_and_the_next_try_succeeds(
    ingest: Ingest, pool: Pool, ask: Ask
) -> None:
    await ingest.deliver([record()])
    batch = [talk(b"a", b"b")]
    async with pool.transaction() as blocker:
        # The batch waits for this row, in the middle of its transaction.
        await blocker.execute("UPDATE usage_hourly SET exchanges = exchanges")
        delivery = asyncio.gather(ingest.deliver(batch), return_exceptions=True)
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while not (pid := await asyncio.to_thread(ask, waiting)):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(ask, f"SELECT pg_terminate_backend({pid})")
        [error] = await delivery
    assert isinstance(error, StoreUnavailableError)
    assert ask("SELECT count(*) FROM exchanges") == "1"
    assert (await ingest.deliver(batch)).recorded == {batch[0].id}


async def test_a_commit_whose_answer_is_lost_is_delivered_once_all_the_same(
    database_url: str, postgres_server: PostgresServer, ask: Ask
) -> None:
    if "host=" not in database_url:
        pytest.skip("the proxy that cuts connections speaks to unix sockets")
    folder = Path(tempfile.mkdtemp())
    async with CommitCutter(database_url, folder) as cutter:
        pool = Pool(cutter.url)
        ingest = Ingest(pool, RECORDER)
        await ingest.deliver([talk(b"0", b"")])
        batch = [talk(b"%d" % n, b"answer", user="ann") for n in range(5)]
        account = SegmentAccount("0badcafe", 0, 1, 1, 5, recorded=5)
        cutter.cuts_left = 1
        with pytest.raises(StoreUnavailableError):
            await ingest.deliver(batch, [account])
        before = ask(EVERYTHING)
        assert before.startswith("6|6|")
        done = await ingest.deliver(batch, [account])
        assert done.recorded | done.erased | done.expired == frozenset()
        assert ask(EVERYTHING) == before
        await pool.close()
    shutil.rmtree(folder)


async def test_a_database_that_asks_for_newer_writers_takes_nothing_until_they_come(
    ingest: Ingest, pool: Pool, ask: Ask
) -> None:
    await ingest.deliver([record()])
    async with pool.maintenance() as connection:
        await connection.execute("UPDATE meta SET value = '99' WHERE key = 'min_writer'")
        with pytest.raises(StoreMisconfiguredError, match="update Verbatim"):
            await ingest.deliver([record()])
        assert ask("SELECT count(*) FROM exchanges") == "1"
        await connection.execute("UPDATE meta SET value = '1' WHERE key = 'min_writer'")
    await ingest.deliver([record()])
    assert ask("SELECT count(*) FROM exchanges") == "2"


async def test_a_cancelled_delivery_leaves_nothing(ingest: Ingest, pool: Pool, ask: Ask) -> None:
    await ingest.deliver([record()])
    async with pool.transaction() as blocker:
        await blocker.execute("UPDATE usage_hourly SET exchanges = exchanges")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await ingest.deliver([talk(b"a", b"b")])
    assert ask("SELECT count(*) FROM exchanges") == "1"
    assert len((await ingest.deliver([talk(b"a", b"b")])).recorded) == 1


async def test_accounts_alone_are_written_once(ingest: Ingest, ask: Ask) -> None:
    accounts = [SegmentAccount("b", 1, n, None, None, off=3, damaged_bytes=1 << 40) for n in (2, 1)]
    await ingest.account(accounts)
    await ingest.account(accounts)
    assert (
        ask('SELECT counter, "off", damaged_bytes FROM segments ORDER BY 1')
        == "1|3|1099511627776\n2|3|1099511627776"
    )


async def test_a_heartbeat_makes_the_partitions_that_are_needed_soon(ingest: Ingest, ask: Ask) -> None:
    beat = Heartbeat("host", "0.1.0", utc_now(), 1.5, 4096)
    await ingest.heartbeat(beat)
    await ingest.heartbeat(beat)
    assert ask("SELECT id, host, lag_seconds, journal_bytes FROM recorders") == f"{RECORDER}|host|1.5|4096"
    fresh = talk(b"a", b"b", exchange_id=new_id(int(utc_now().timestamp()) * 1_000_000_000))
    await ingest.deliver([fresh])
    assert int(ask("SELECT count(*) FROM pg_inherits WHERE inhparent = 'pieces'::regclass")) >= 2


async def test_the_clock_of_the_database_is_compared_with_ours(ingest: Ingest) -> None:
    assert abs(await ingest.clock_skew_seconds()) < 5


async def test_histograms_are_added_bucket_by_bucket(ingest: Ingest, ask: Ask) -> None:
    times_us = (100, 1_000_000, 100, 5_000)
    for duration_us in times_us:
        await ingest.deliver([record(duration_us=duration_us, ttft_us=None)])
    [row] = ask(
        "SELECT encode(numeric_send(duration_histogram), 'hex'), ttft_histogram FROM usage_hourly"
    ).splitlines()
    counts, empty = row.split("|")
    [total] = counted([[bytes.fromhex(counts)]])
    held = {number: count for number, count in enumerate(total) if count}
    assert held == {bucket(100): 2, bucket(5_000): 1, bucket(1_000_000): 1}
    assert empty == "0"


async def test_what_is_recorded_is_known_by_its_id(ingest: Ingest) -> None:
    made = [record(at_ns=NOON_NS + n * 40 * DAY_NS) for n in range(3)]
    await ingest.deliver(made[:2])
    assert await ingest.known([each.id for each in made]) == {made[0].id, made[1].id}
    assert await ingest.known([]) == frozenset()
