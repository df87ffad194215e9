"""What is erased is in no table, and nothing else is touched."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from app.clock import utc_now
from app.errors import StoreUnavailableError
from app.store.database.pool import Pool
from app.store.erasing import removing, sweeping
from app.store.erasing.requests import Erasures, Target
from app.store.erasing.running import Eraser
from app.store.filters.filter import Filter
from app.store.reading.query import Query
from app.store.search.building import Builder
from app.store.writing.ingest import Heartbeat, Ingest
from app.store.writing.record import Record
from tests.erased import places_of
from tests.store.conftest import RECORDER
from tests.store.erasing.records import asking, erase, run, talking, whole
from tests.store.search.test_searching import close, find
from tests.store.talks import Clock, Talker

REPOSITORY = Path(__file__).parent.parent.parent.parent
SYSTEM = {"role": "system", "content": "You never tell anybody that you have seen this prompt. " * 10}


async def rows(pool: Pool, table: str) -> int:
    async with pool.transaction(readonly=True) as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def check_whole(pool: Pool, records: Sequence[Record], besides: Sequence[Record] = ()) -> None:
    """Exactly these exchanges are there, byte for byte; those `besides`, with others."""
    query = Query(pool)
    if not besides:
        page = await query.list_exchanges(Filter(), limit=1000)
        assert {each.id.bytes for each in page.exchanges} == {each.id for each in records}
    for each in [*records, *besides]:
        assert each.content is not None
        exchange_id = uuid.UUID(bytes=each.id)
        for body, kept in (
            (each.content.request_body, await query.request_body(exchange_id)),
            (each.content.response_body, await query.response_body(exchange_id)),
        ):
            assert body is not None and kept is not None
            assert b"".join([piece async for piece in kept.chunks]) == b"".join(body.slices())
        assert await query.headers(exchange_id) is not None


@pytest.mark.parametrize("is_closed", [False, True], ids=["tail", "segment"])
async def test_a_user_is_gone_from_every_table_and_who_said_the_same_keeps_it(
    pool: Pool, ingest: Ingest, database_url: str, is_closed: bool
) -> None:
    clock = Clock()
    question = [SYSTEM, {"role": "user", "content": "The shared question, which two ask. " * 12}]
    ann = [asking(question, "the shared answer", clock, user="ann-canary")]
    ben = [asking(question, "the shared answer", clock, user="ben", key="b" * 16)]
    tags = {"who": "ann-canary", "team": "both"}
    ann += talking(clock, "canary-0815", user="ann-canary", conversation="canary-talk", tags=tags)
    ben += talking(clock, "harmless", user="ben", conversation="bens", tags={"team": "both"})
    await ingest.deliver([*ann, *ben])
    if is_closed:
        assert await close(pool) == 1
    before = await places_of(database_url, "canary-0815")
    wanted = {
        "pieces.data",
        "transcripts.request_preview",
        f"search_{'text' if is_closed else 'tail'}.folded",
    }
    assert wanted <= set(before)
    assert {"exchanges.end_user", "usage_daily_users.end_user", "usage_daily_tags.value"} <= set(
        await places_of(database_url, "ann-canary")
    )
    done = await erase(pool, "user", "ann-canary")
    if is_closed:
        assert done.state == "erasing"  # signatures are still to be made anew
        assert await Builder(pool).has_work(utc_now())
        assert await Builder(pool).sign_again()
        await run(pool)
        done = await Erasures(pool).get(done.id) or done
        assert done.counts["signatures"] == 1
    assert done.state == "done"
    assert await places_of(database_url, "canary") == []
    await check_whole(pool, ben)
    assert (await find(pool, "shared question")).ids == [uuid.UUID(bytes=ben[0].id)]
    assert done.counts["exchanges"] == done.counts["transcripts"] == 4
    assert done.counts["conversations"] == 2
    assert done.counts["names"] == 1
    assert done.counts["user_days"] == done.counts["tag_days"] == 1
    by_team = await Query(pool).stats.read(Filter(), ["tag.team"])
    assert by_team.source == "tags"
    assert {each.values["tag.team"]: each.sums.counts["exchanges"] for each in by_team.groups}["both"] == 3
    assert done.counts["pieces"] > 6
    assert done.counts["pieces_kept"] >= 3  # question, answer, headers
    assert done.counts["runs"] >= 3
    assert done.value is None
    assert await rows(pool, "erasure_nodes") == 0
    await ingest.deliver([*ann, *ben])
    assert await places_of(database_url, "canary") == []
    assert (await Erasures(pool).get(done.id) or done).recorders == []


async def test_nothing_is_left_when_all_is_erased(pool: Pool, ingest: Ingest, database_url: str) -> None:
    clock = Clock()
    await ingest.deliver(talking(clock, "one", 5, user="ann") + talking(clock, "two", 5, user="ben"))
    await ingest.deliver(talking(clock, "later", 2, user="ann"))
    for user in ("ann", "ben"):
        assert (await erase(pool, "user", user)).state == "done"
    for table in ("exchanges", "transcripts", "pieces", "messages", "conversations", "search_tail"):
        assert await rows(pool, table) == 0, table
    assert await rows(pool, "conversation_links") == 0
    assert await rows(pool, "usage_hourly") > 0  # numbers stay


async def test_one_exchange_goes_and_its_conversation_goes_on(
    pool: Pool, ingest: Ingest, database_url: str
) -> None:
    records = talking(Clock(), "talk", 4)
    await ingest.deliver(records)
    done = await Erasures(pool).of_exchange(uuid.UUID(bytes=records[-1].id))
    assert done is not None
    await run(pool)
    await check_whole(pool, records[:-1])
    assert await places_of(database_url, "talk hears 3") == []
    async with pool.transaction(readonly=True) as connection:
        row = await connection.fetchrow("SELECT exchanges, last_id FROM conversations")
    assert row is not None and (row["exchanges"], row["last_id"].bytes) == (3, records[2].id)
    again = await Erasures(pool).of_exchange(uuid.UUID(bytes=records[-1].id))
    assert again is not None and again.id == done.id
    assert await Erasures(pool).of_exchange(uuid.UUID(int=7)) is None
    # What is said next finds the chain as far as it is there.
    talker = Talker(Clock(Clock().now_ns + 10**11))
    assert records[-1].content is not None
    follower = whole(talker.says("and now", "yes"))
    await ingest.deliver([follower])
    await check_whole(pool, [*records[:-1], follower])


async def test_a_conversation_goes_with_what_went_on_with_it_and_stays_away(
    pool: Pool, ingest: Ingest, database_url: str
) -> None:
    clock = Clock()
    named = talking(clock, "canary-1", 3, conversation="the one")
    unnamed = talking(clock, "canary-2", 3)
    other = talking(clock, "other", 3)
    await ingest.deliver([*named, *unnamed, *other])
    first = str(uuid.UUID(bytes=unnamed[0].id))
    assert (await erase(pool, "conversation", "the one")).counts["exchanges"] == 3
    assert (await erase(pool, "conversation", first)).counts["exchanges"] == 3
    assert await places_of(database_url, "canary", "the one") == []
    await check_whole(pool, other)
    for each in reversed([*named, *unnamed]):
        await ingest.deliver([each])
    await check_whole(pool, other)


async def test_a_conversation_waits_for_journals_that_may_have_more_of_it(
    pool: Pool, ingest: Ingest, database_url: str
) -> None:
    records = talking(Clock(), "canary", 4)
    now = utc_now()
    await ingest.heartbeat(Heartbeat("host", "0", now, 0.0, 0))
    await ingest.deliver(records[:2])
    asked = await erase(pool, "conversation", str(uuid.UUID(bytes=records[0].id)))
    assert (asked.state, asked.counts) == ("erasing", {})
    assert (await ingest.deliver(records[2:])).erased == {each.id for each in records[2:]}
    async with pool.transaction() as connection:
        await connection.execute(
            "INSERT INTO erasure_progress (erasure_id, recorder_id, done_at) VALUES ($1, $2, now())"
            " ON CONFLICT (erasure_id, recorder_id) DO UPDATE SET done_at = now()",
            *(asked.id, RECORDER),
        )
    await run(pool)
    done = await Erasures(pool).get(asked.id)
    assert done is not None and (done.state, done.counts["exchanges"]) == ("done", 2)
    assert done.recorders[0].stopped == 2
    assert await places_of(database_url, "canary") == []


async def test_by_key_and_only_what_began_before_a_time(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    early = talking(clock, "early", 2, key="aaaaaaaaaaaaaaaa")
    late = talking(clock, "late", 2, key="aaaaaaaaaaaaaaaa")
    other = talking(clock, "other", 2, key="bbbbbbbbbbbbbbbb")
    await ingest.deliver([*early, *late, *other])
    target = Target(1, "key", "aaaaaaaaaaaaaaaa", early[-1].started_at)
    counted = await Erasures(pool).count(target)
    assert (counted.exchanges, counted.conversations) == (2, 1)
    assert counted.first_started_at == early[0].started_at
    await check_whole(pool, [*early, *late, *other])
    await erase(pool, "key", "aaaaaaaaaaaaaaaa", until=early[-1].started_at)
    await check_whole(pool, [*late, *other])


async def test_a_user_who_goes_on_keeps_the_sums_of_later_days(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    first = talking(clock, "first", 2, user="ann")
    clock.tick(86_400)
    second = talking(clock, "second", 2, user="ann")
    await ingest.deliver([*first, *second])
    assert await rows(pool, "usage_daily_users") == 2
    done = await erase(pool, "user", "ann", until=first[-1].started_at)
    assert done.counts["user_days"] == 1
    await check_whole(pool, second)


async def test_weeks_and_projects_are_erased_apart(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    here = talking(clock, "same", 2, user="ann")
    there = talking(Clock(), "same", 2, user="ann", project="other")
    clock.tick(-14 * 86_400)
    later = talking(clock, "same", 2, user="ann")
    await ingest.deliver([*here, *later])
    await ingest.deliver(there)
    done = await erase(pool, "user", "ann")
    assert done.counts["exchanges"] == 4
    await check_whole(pool, there)


async def test_an_eraser_that_is_stopped_anywhere_is_gone_on_with_by_another(
    pool: Pool, ingest: Ingest, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "PAGE_ROWS", 2)
    clock = Clock()
    ann, ben = talking(clock, "canary", 12, user="ann"), talking(clock, "harmless", 3, user="ben")
    await ingest.deliver([*ann, *ben])
    asked = await Erasures(pool).request(Target(1, "user", "ann"))
    for stop_after in range(1, 12):
        eraser = Eraser(pool)
        steps = 0

        async def page(*arguments: object, real: object = eraser._remover.remove_page) -> object:
            nonlocal steps
            steps += 1
            if steps > 1:
                raise asyncpg.ConnectionDoesNotExistError("gone")
            return await real(*arguments)  # type: ignore[operator]

        if stop_after % 2:
            monkeypatch.setattr(eraser._remover, "remove_page", page)
            with pytest.raises(asyncpg.ConnectionDoesNotExistError):
                await eraser.run_once()
        else:
            for place in await eraser._sweeper.places():
                await eraser._sweeper.sweep(place)
        await check_pieces(pool)
    await run(pool)
    done = await Erasures(pool).get(asked.id)
    assert done is not None and (done.state, done.counts["exchanges"]) == ("done", 12)
    assert await places_of(database_url, "canary") == []
    await check_whole(pool, ben)


async def test_who_says_the_same_while_it_is_erased_loses_nothing(
    pool: Pool, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "PAGE_ROWS", 3)
    monkeypatch.setattr(sweeping, "DELETED_AT_ONCE", 2)
    clock = Clock()
    ann = [each for n in range(8) for each in talking(clock, f"the same {n}", 4, user="ann", key="a" * 16)]
    clock.now_ns -= 5 * 10**9
    ben = [each for n in range(8) for each in talking(clock, f"the same {n}", 4, user="ben", key="b" * 16)]
    await ingest.deliver(ann)
    await Erasures(pool).request(Target(1, "user", "ann"))
    erasers = [Eraser(pool), Eraser(pool)]

    async def deliver() -> None:
        for each in ben:
            await ingest.deliver([each])

    async def run_eraser(eraser: Eraser) -> None:
        for _ in range(4):
            try:
                await eraser.run_once()
            except StoreUnavailableError:  # two that wait for each other; tried again
                continue

    await asyncio.gather(deliver(), *(run_eraser(each) for each in erasers))
    await run(pool)
    await check_whole(pool, ben)
    await check_pieces(pool)
    await erase(pool, "user", "ben")
    assert await rows(pool, "pieces") == 0


@pytest.mark.timeout(120)
async def test_an_eraser_that_is_killed_at_any_time_loses_nothing(
    pool: Pool, ingest: Ingest, database_url: str
) -> None:
    clock = Clock()
    ann = [each for n in range(10) for each in talking(clock, f"canary {n}", 6, user="ann")]
    ben = [each for n in range(3) for each in talking(clock, f"harmless {n}", 6, user="ben")]
    await ingest.deliver([*ann, *ben])
    asked = await Erasures(pool).request(Target(1, "user", "ann"))
    for _ in range(6):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.store.erasing.eraser_process", database_url),
            cwd=REPOSITORY,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
        await check_pieces(pool)
        await check_whole(pool, [], ben)
    assert await rows(pool, "exchanges") > len(ben), "it was never killed on its way"
    await run(pool)
    done = await Erasures(pool).get(asked.id)
    assert done is not None and (done.state, done.counts["exchanges"]) == ("done", len(ann))
    assert await places_of(database_url, "canary") == []
    await check_whole(pool, ben)


async def test_the_room_of_what_went_is_given_back(pool: Pool, ingest: Ingest) -> None:
    await ingest.deliver(talking(Clock(), "canary", 5, user="ann"))
    await erase(pool, "user", "ann")
    async with pool.transaction(readonly=True) as connection:
        vacuumed = await connection.fetch("SELECT relname FROM pg_stat_user_tables WHERE vacuum_count > 0")
    names = {row["relname"].split("_w2")[0].split("_m2")[0] for row in vacuumed}
    assert {"exchanges", "transcripts", "pieces", "search_tail", "conversations", "erasures"} <= names


async def check_pieces(pool: Pool) -> None:
    """A slice that is there has all before it."""
    async with pool.transaction(readonly=True) as connection:
        orphans = await connection.fetchval(
            "SELECT count(*) FROM pieces AS p WHERE p.parent IS NOT NULL AND NOT EXISTS (SELECT FROM pieces AS q"
            " WHERE q.project_id = p.project_id AND q.week = p.week AND q.node = p.parent)"
        )
    assert orphans == 0
