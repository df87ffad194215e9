"""What an exchange says for the first time is searched, and what a program sends again is not said again."""

from __future__ import annotations

import dataclasses
import json
import uuid
from typing import Any

import pytest

from app.decode import Request, Response, decode_exchange
from app.decode.said import said_texts
from app.store.database.pool import Pool
from app.store.search.folding import casing_of, fold, unfold
from app.store.search.writing import text_rows
from app.store.writing.ingest import Ingest
from app.store.writing.record import Record
from tests.store.search.test_searching import find
from tests.store.talks import SECOND_NS, Clock, Talker


def speaking(made: Record) -> Record:
    """The same with what it says, as the recorder adds it."""
    content = made.content
    assert content is not None
    assert content.request_body is not None
    assert content.response_body is not None
    decoded = decode_exchange(
        Request(
            "POST", made.path.encode(), b"", "application/json", None, b"".join(content.request_body.slices())
        ),
        Response(200, "application/json", None, b"".join(content.response_body.slices())),
    )
    return dataclasses.replace(made, content=dataclasses.replace(content, said=said_texts(decoded)))


async def texts(pool: Pool, made: Record) -> list[tuple[int, str]]:
    async with pool.transaction(readonly=True) as connection:
        query = "SELECT message, folded FROM search_tail WHERE exchange_id = $1 ORDER BY message"
        return [tuple(row) for row in await connection.fetch(query, uuid.UUID(bytes=made.id))]


async def test_history_that_is_sent_again_is_said_once(pool: Pool, ingest: Ingest) -> None:
    client = Talker(Clock(), [{"role": "system", "content": "Be brief."}])
    first = speaking(client.says("What is a cat?", "An animal."))
    second = speaking(client.says("And a dog?", "Another one."))
    third = speaking(client.says("And a bird?", "One that flies."))
    await ingest.deliver([first])
    await ingest.deliver([second, third])
    assert await texts(pool, first) == [(0, "be brief."), (1, "what is a cat?"), (2, "an animal.")]
    assert await texts(pool, second) == [(3, "and a dog?"), (4, "another one.")]
    assert await texts(pool, third) == [(5, "and a bird?"), (6, "one that flies.")]
    assert (await find(pool, "a cat")).ids == [uuid.UUID(bytes=first.id)]


async def test_another_users_identical_talk_is_said_by_each(pool: Pool, ingest: Ingest) -> None:
    clock = Clock()
    ann = Talker(clock, changes={"user": "ann"})
    made = [speaking(ann.says("hello", "hi")), speaking(ann.says("how are you", "well"))]
    bob = Talker(clock, list(ann.messages[:2]), changes={"user": "bob"})
    clock.tick(3_000)
    made.append(speaking(bob.says("who are you", "nobody")))
    await ingest.deliver(made)
    assert await texts(pool, made[1]) == [(2, "how are you"), (3, "well")]
    assert [text for _, text in await texts(pool, made[2])] == ["hello", "hi", "who are you", "nobody"]


async def test_a_conversation_that_goes_on_is_said_once_more_in_the_next_week(
    pool: Pool, ingest: Ingest
) -> None:
    clock = Clock()
    client = Talker(clock)
    first = speaking(client.says("before", "yes"))
    clock.tick(7 * 86_400)
    second = speaking(client.says("after", "no"))
    await ingest.deliver([first, second])
    assert [text for _, text in await texts(pool, second)] == ["before", "yes", "after", "no"]
    assert clock.now_ns > SECOND_NS


def test_every_kind_of_word_is_said() -> None:
    request: dict[str, Any] = {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "the system prompt"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a text part"}, {"type": "input_odd", "note": "odd"}],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "find_it", "arguments": '{"what":"needle"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "the result of the tool"},
        ],
    }
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": "I refuse",
                    "reasoning_content": "a thought",
                },
            }
        ],
    }
    decoded = decode_exchange(
        Request("POST", b"/v1/chat/completions", b"", "application/json", None, json.dumps(request).encode()),
        Response(200, "application/json", None, json.dumps(answer).encode()),
    )
    whole = "\n".join(said_texts(decoded))
    for word in (
        "the system prompt",
        "a text part",
        "odd",
        "find_it",
        '{"what":"needle"}',
        "result of the tool",
    ):
        assert word in whole
    assert "I refuse" in whole
    assert "a thought" in whole
    refused = decode_exchange(
        Request("POST", b"/v1/chat/completions", b"", "application/json", None, b"{}"),
        Response(
            429, "application/json", None, b'{"error": {"message": "Slow down, please", "type": "rate"}}'
        ),
    )
    assert said_texts(refused)[-1] == "Slow down, please"


def test_many_messages_share_rows_and_keep_their_numbers() -> None:
    said = [f"Message {n}" if n % 3 else "" for n in range(100)]
    rows = list(text_rows(said, 10))
    assert len(rows) <= 16
    found = {
        number + place: text
        for number, folded, _ in rows
        for place, text in enumerate(folded.split("\x1e"))
        if text
    }
    assert found == {n: fold(text) for n, text in enumerate(said) if text and n >= 10}


@pytest.mark.parametrize(
    "text", ["Hello World", "HELLO", "", "straße Ω Ünder", "x" * 700 + "A" + "y" * 510 + "B", "ǅ"]
)
def test_letters_are_given_back_as_they_were(text: str) -> None:
    folded = fold(text)
    casing = casing_of(text, folded)
    if casing is not None:
        assert unfold(folded, casing) == text
        assert unfold(folded[3:], casing, 3) == text[3:]
