"""Exchanges come together as conversations by what they say, with no help from the client."""

from __future__ import annotations

import asyncio
import datetime
import random
import uuid
from collections import defaultdict
from typing import Any

import pytest

from app.store.conversations.writing import forget_conversations
from app.store.database.pool import Pool
from app.store.database.retention import Horizon
from app.store.writing.ingest import Heartbeat, Ingest
from app.store.writing.record import Record
from tests.store.samples import NOON_NS
from tests.store.talks import SECOND_NS, Clock, Talker, chat, exchange

SYSTEM = {"role": "system", "content": "You are a careful assistant that answers in one sentence."}
OTHER_RECORDER = uuid.UUID("01890000-0000-7000-8000-000000000002")


async def rows(pool: Pool) -> dict[bytes, Any]:
    async with pool.transaction(readonly=True) as connection:
        found = await connection.fetch("SELECT * FROM exchanges ORDER BY id")
    return {row["id"].bytes: row for row in found}


async def conversations(pool: Pool) -> dict[uuid.UUID, Any]:
    async with pool.transaction(readonly=True) as connection:
        found = await connection.fetch("SELECT * FROM conversations WHERE merged_into IS NULL ORDER BY id")
    return {row["id"]: row for row in found}


async def check_counts(pool: Pool) -> None:
    """Every conversation counts its exchanges, and knows the first and the last of them."""
    members = defaultdict(list)
    for row in (await rows(pool)).values():
        if row["conversation_id"] is not None:
            members[row["conversation_id"]].append(row["id"])
    known = await conversations(pool)
    assert {each: (row["exchanges"], row["last_id"]) for each, row in known.items()} == {
        each: (len(ids), max(ids)) for each, ids in members.items()
    }


def groups(found: dict[bytes, Any]) -> set[frozenset[bytes]]:
    """Which exchanges are together."""
    members = defaultdict(set)
    for exchange_id, row in found.items():
        members[row["conversation_id"]].add(exchange_id)
    assert None not in members
    return {frozenset(each) for each in members.values()}


def parents(found: dict[bytes, Any], *records: Record) -> list[bytes | None]:
    return [row["parent_id"].bytes if (row := found[each.id])["parent_id"] else None for each in records]


async def test_a_conversation_that_goes_on_is_one(pool: Pool, ingest: Ingest) -> None:
    talker = Talker(Clock(), [SYSTEM])
    for turn in range(5):
        await ingest.deliver([talker.says(f"question {turn}", f"answer {turn}")])
    found = await rows(pool)
    first = uuid.UUID(bytes=talker.records[0].id)
    assert {row["conversation_id"] for row in found.values()} == {first}
    assert parents(found, *talker.records) == [None, *(each.id for each in talker.records[:-1])]
    assert [row["joined_by"] for row in found.values()] == [None, *["answer"] * 4]
    await check_counts(pool)


async def test_turns_that_come_in_one_batch_are_joined_too(pool: Pool, ingest: Ingest) -> None:
    talker = Talker(Clock(), [SYSTEM])
    records = [talker.says(f"question {turn}", f"answer {turn}") for turn in range(6)]
    random.Random(1).shuffle(records)
    await ingest.deliver(records)
    assert len(groups(await rows(pool))) == 1
    await check_counts(pool)


@pytest.mark.parametrize("batch", [1, 7, 500])
async def test_ten_interleaved_conversations_with_forks_and_retries_are_ten(
    pool: Pool, ingest: Ingest, batch: int
) -> None:
    clock, chance = Clock(), random.Random(7)
    branches = [[Talker(clock, [SYSTEM])] for _ in range(10)]
    records: list[Record] = []
    origins: dict[bytes, bytes | None] = {}

    def heard(talker: Talker, made: Record, origin: bytes | None) -> None:
        records.append(made)
        origins[made.id] = origin
        talker.given[len(talker.messages)] = made.id

    for turn in range(8):
        for number in chance.sample(range(10), 10):
            for talker in list(branches[number]):
                origin = talker.given.get(len(talker.messages))
                heard(
                    talker, talker.says(f"{number}: what of {turn}, {len(branches[number])}?", "so"), origin
                )
                if chance.random() < 0.2:
                    heard(talker, talker.again(retry_count=chance.choice((0, 1))), origin)
            if turn in (3, 5) and number % 3 == 0:
                fork = branches[number][0].fork(keep=2 * turn - 1)
                origin = fork.given[len(fork.messages)]
                heard(fork, fork.says(f"{number}: no, rather {turn}", "as you like"), origin)
                branches[number].append(fork)
    for start in range(0, len(records), batch):
        await ingest.deliver(records[start : start + batch])
    found = await rows(pool)
    assert len(groups(found)) == 10
    wrong = {each.id.hex() for each in records if parents(found, each) != [origins[each.id]]}
    assert wrong == set()
    await check_counts(pool)


async def test_a_shared_system_prompt_and_a_shared_first_message_join_nothing(
    pool: Pool, ingest: Ingest
) -> None:
    clock = Clock()
    one, two, three = (Talker(clock, [SYSTEM]) for _ in range(3))
    await ingest.deliver([one.says("Hello", "Hi, what can I do?", model="gpt-4o")])
    two.messages.append({"role": "user", "content": "Hello"})
    await ingest.deliver([two.calls("Good day!", request_sha256=b"2" * 32)])
    await ingest.deliver([three.says("What is the time?", "Noon.")])
    assert len(groups(await rows(pool))) == 3


async def test_sub_agents_with_the_prompt_of_their_parent_stay_apart(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    main = Talker(clock, [SYSTEM])
    call = {"id": "call_1", "type": "function", "function": {"name": "task", "arguments": '{"do": "x"}'}}
    first = main.says("Do x and y", {"content": None, "tool_calls": [call]})
    helpers = [Talker(clock, [SYSTEM]) for _ in range(3)]
    records = [first]
    for turn in range(3):
        records += [each.says(f"helper {n}, step {turn}", "done") for n, each in enumerate(helpers)]
    main.messages.append({"role": "tool", "tool_call_id": "call_1", "content": "done"})
    records.append(main.calls("All done."))
    await ingest.deliver(records)
    found = await rows(pool)
    assert len(groups(found)) == 4
    assert parents(found, records[-1]) == [first.id]


async def test_an_edited_message_is_a_branch_where_the_answer_before_it_is_shared(
    pool: Pool, ingest: Ingest
) -> None:
    talker = Talker(Clock(), [SYSTEM])
    await ingest.deliver([talker.says("one", "1"), talker.says("two", "2"), talker.says("three", "3")])
    edited = talker.fork(keep=3)
    await ingest.deliver([edited.says("two, but better", "2!"), edited.says("and then", "3!")])
    found = await rows(pool)
    assert len(groups(found)) == 1
    assert parents(found, *edited.records) == [talker.records[0].id, edited.records[0].id]


async def test_a_compacted_conversation_goes_on(pool: Pool, ingest: Ingest) -> None:
    talker = Talker(Clock(), [SYSTEM])
    for turn in range(6):
        await ingest.deliver([talker.says(f"question {turn}", f"a long answer {turn}")])
    summary = {"role": "user", "content": "What happened so far: much."}
    talker.messages = [SYSTEM, summary, *talker.messages[-2:]]
    await ingest.deliver([talker.says("go on", "I go on")])
    assert len(groups(await rows(pool))) == 1


async def test_an_answer_that_is_recorded_late_brings_its_conversation_together(
    pool: Pool, ingest: Ingest
) -> None:
    talker = Talker(Clock(), [SYSTEM])
    one, two, three, four = (talker.says(f"question {n}", f"answer {n}") for n in range(4))
    await ingest.deliver([four])
    await ingest.deliver([two])
    assert len(groups(await rows(pool))) == 2
    await ingest.deliver([three])
    await ingest.deliver([one])
    found = await rows(pool)
    assert groups(found) == {frozenset({one.id, two.id, three.id, four.id})}
    assert {row["conversation_id"].bytes for row in found.values()} == {one.id}
    assert parents(found, one, two, three, four) == [None, one.id, two.id, three.id]
    await check_counts(pool)
    async with pool.transaction(readonly=True) as connection:
        assert await connection.fetchval("SELECT count(*) FROM conversation_links") == 0


async def test_a_batch_that_comes_twice_changes_nothing(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    talkers = [Talker(clock, [SYSTEM]) for _ in range(4)]
    records = [each.says(f"{n} {turn}", f"{turn}") for turn in range(4) for n, each in enumerate(talkers)]
    tables = ("exchanges", "conversations", "conversation_names", "conversation_links", "messages")

    async def dump() -> list[str]:
        async with pool.transaction(readonly=True) as connection:
            return [
                row[0]
                for each in tables
                for row in await connection.fetch(f"SELECT t::text FROM {each} AS t ORDER BY 1")
            ]

    await ingest.deliver(records[:9])
    await ingest.deliver(records[9:])
    before = await dump()
    await ingest.deliver(records[5:12])
    await ingest.deliver(records)
    assert await dump() == before
    assert len(groups(await rows(pool))) == 4


async def test_two_recorders_that_deliver_at_once_find_the_same_conversations(
    pool: Pool, ingest: Ingest
) -> None:
    other = Ingest(pool, OTHER_RECORDER)
    clock = Clock()
    talkers = [Talker(clock, [SYSTEM]) for _ in range(12)]
    records = [each.says(f"{n}, {turn}", f"{turn}!") for turn in range(10) for n, each in enumerate(talkers)]
    batches = [records[start : start + 10] for start in range(0, len(records), 10)]

    async def record(store: Ingest, mine: list[list[Record]]) -> None:
        for each in mine:
            await store.deliver(each)

    await asyncio.gather(record(ingest, batches[::2]), record(other, batches[1::2]))
    beat = Heartbeat("host", "1", records[0].started_at, 0.0, 0)
    await ingest.heartbeat(beat)
    assert len(groups(await rows(pool))) == 12
    await check_counts(pool)


async def test_a_response_that_names_the_one_before_continues_it(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()

    def respond(number: int, before: str | None, **changes: Any) -> Record:
        request = {"model": "gpt-4o", "input": f"say {number}", "previous_response_id": before}
        item = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": f"{number}"}],
        }
        told = {"id": f"resp_{number}", "object": "response", "status": "completed", "output": [item]}
        return exchange("/v1/responses", request, told, clock.tick(), **changes)

    one, two, fork, three = respond(1, None), respond(2, "resp_1"), respond(4, "resp_1"), respond(3, "resp_2")
    await ingest.deliver([one, three])
    await ingest.deliver([two, fork])
    poll = exchange(
        "/v1/responses/resp_2", {}, {"id": "resp_2", "object": "response"}, clock.tick(), method="GET"
    )
    stranger = exchange(
        "/v1/responses/resp_9", {}, {"id": "resp_9", "object": "response"}, clock.tick(), method="GET"
    )
    await ingest.deliver([poll, stranger])
    found = await rows(pool)
    assert parents(found, one, two, three, fork, poll) == [None, one.id, two.id, one.id, two.id]
    assert found.pop(stranger.id)["conversation_id"] is None
    assert len(groups(found)) == 1
    await check_counts(pool)


async def test_a_conversation_of_the_provider_is_one(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    records = [
        exchange(
            "/v1/responses",
            {"model": "gpt-4o", "input": f"say {number}", "conversation": name},
            {"id": f"resp_{number}", "object": "response", "output": []},
            clock.tick(),
        )
        for number, name in enumerate(["conv_1", "conv_2", {"id": "conv_1"}, "conv_2", "conv_1"])
    ]
    await ingest.deliver(records[:3])
    await ingest.deliver(records[3:])
    found = await rows(pool)
    one, two = {records[n].id for n in (0, 2, 4)}, {records[n].id for n in (1, 3)}
    assert groups(found) == {frozenset(one), frozenset(two)}
    assert parents(found, records[4]) == [records[2].id]


async def test_what_a_client_names_is_one_conversation_whatever_is_said(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    one, two = Talker(clock, [SYSTEM], changes={"conversation": "blue"}), Talker(clock, [SYSTEM])
    await ingest.deliver([one.says("a", "b"), two.says("c", "d")])
    third = Talker(clock, changes={"conversation": "blue"})
    await ingest.deliver([third.says("of another kind", "yes")])
    renamed = one.fork(keep=3)
    renamed.changes = {"conversation": "green"}
    await ingest.deliver([renamed.says("go on", "under another name")])
    await ingest.deliver([one.says("go on", "well"), two.says("e", "f", conversation="red")])
    found = await rows(pool)
    assert groups(found) == {
        frozenset(each.id for each in (*one.records, *third.records)),
        frozenset(each.id for each in two.records),
        frozenset(each.id for each in renamed.records),
    }
    assert parents(found, *renamed.records) == [one.records[0].id]
    assert sorted(row["name"] for row in (await conversations(pool)).values()) == ["blue", "green", "red"]


async def test_two_recorders_that_name_a_conversation_at_once_name_one(pool: Pool, ingest: Ingest) -> None:
    other = Ingest(pool, OTHER_RECORDER)
    clock = Clock()
    records = [Talker(clock, changes={"conversation": "blue"}).says(f"{n}", f"{n}") for n in range(20)]
    await asyncio.gather(
        *(
            store.deliver(records[start : start + 2])
            for start, store in zip(range(0, 20, 2), [ingest, other] * 5, strict=True)
        )
    )
    assert len(groups(await rows(pool))) == 1
    await check_counts(pool)


async def test_a_repeat_joins_its_first_try_for_ten_minutes(pool: Pool, ingest: Ingest) -> None:
    question = [SYSTEM, {"role": "user", "content": "Hello?"}]

    def ask(minute: float, **changes: Any) -> Record:
        return chat(
            question, {"content": f"It is {minute}"}, NOON_NS + int(minute * 60 * SECOND_NS), **changes
        )

    first, again, other_key = ask(0, status=500), ask(9), ask(9.5, key="feedfeedfeedfeed")
    late, retry = ask(25), ask(40, retry_count=2)
    for each in (first, again, other_key, late, retry):
        await ingest.deliver([each])
    found = await rows(pool)
    assert groups(found) == {
        frozenset({first.id, again.id}),
        frozenset({other_key.id}),
        frozenset({late.id, retry.id}),
    }
    assert [found[each.id]["joined_by"] for each in (again, retry)] == ["repeat", "repeat"]


async def test_of_two_alike_the_one_of_the_same_user_goes_on_then_the_one_that_nobody_continued(
    pool: Pool, ingest: Ingest
) -> None:
    clock = Clock()
    talkers = [Talker(clock, [SYSTEM], changes={"key": key}) for key in ("a", "a", "b")]
    opening = [each.says("Hello", "Hi", request_sha256=bytes([n]) * 32) for n, each in enumerate(talkers)]
    await ingest.deliver(opening)
    second = [each.says(f"I am {n}", "I see") for n, each in enumerate(talkers)]
    for each in second:
        await ingest.deliver([each])
    found = await rows(pool)
    assert len(groups(found)) == 3
    assert set(parents(found, *second[:2])) == {each.id for each in opening[:2]}
    assert parents(found, second[2]) == [opening[2].id]


async def test_any_of_several_answers_may_be_continued(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    question = {"role": "user", "content": "Which?"}
    choices = [{"index": n, "message": {"role": "assistant", "content": f"choice {n}"}} for n in range(3)]
    told = {"id": "chatcmpl-1", "choices": choices}
    request = {"model": "gpt-4o", "n": 3, "messages": [question]}
    first = exchange("/v1/chat/completions", request, told, clock.tick())
    await ingest.deliver([first])
    talker = Talker(clock, [question, {"role": "assistant", "content": "choice 2"}])
    await ingest.deliver([talker.says("Why?", "Because.")])
    found = await rows(pool)
    assert parents(found, *talker.records) == [first.id]
    assert len(groups(found)) == 1


async def test_what_is_no_talk_has_no_conversation(pool: Pool, ingest: Ingest) -> None:
    told = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}]}
    made = exchange("/v1/embeddings", {"model": "m", "input": "words"}, told, NOON_NS)
    await ingest.deliver([made])
    assert (await rows(pool))[made.id]["conversation_id"] is None


async def test_what_was_said_is_kept_once_a_week(pool: Pool, ingest: Ingest) -> None:
    talker = Talker(Clock(), [SYSTEM])
    for turn in range(4):
        await ingest.deliver([talker.says(f"question {turn}", f"answer {turn}")])
    await ingest.deliver([talker.again()])
    talker.clock.tick(7 * 86_400)
    await ingest.deliver([talker.says("a week later", "indeed")])
    async with pool.transaction(readonly=True) as connection:
        found = await connection.fetch("SELECT * FROM messages ORDER BY week, length(roles) DESC, tip")
    assert [(row["roles"], row["kinds"]) for row in found] == [
        ("sua", "ttt"),
        *[("ua", "tt")] * 3,
        ("suauauauaua", "t" * 11),
    ]
    assert {row["parent"] for row in found[1:4]} < {row["tip"] for row in found[:4]}
    assert [row["parent"] for row in (found[0], found[4])] == [None, None]
    assert all(len(row["content_keys"]) == 16 * len(row["roles"]) for row in found)


async def test_conversations_go_with_their_last_exchange(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    old, lasting = (Talker(clock, changes={"conversation": name}) for name in ("old", "lasting"))
    await ingest.deliver([old.says("a", "b"), lasting.says("c", "d")])
    clock.tick(40 * 86_400)
    await ingest.deliver([lasting.says("e", "f")])
    now = datetime.datetime(2026, 12, 30, tzinfo=datetime.UTC)
    await forget_conversations(pool, Horizon(), now)
    assert len(await conversations(pool)) == 2
    await forget_conversations(pool, Horizon(keep_metadata_days=10), now)
    assert [row["name"] for row in (await conversations(pool)).values()] == ["lasting"]
    async with pool.transaction(readonly=True) as connection:
        assert await connection.fetchval("SELECT string_agg(name, ' ') FROM conversation_names") == "lasting"
