"""`/api/conversations`, and the exchanges of one of them."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import pytest

from app.api.schemas.conversations import Conversation, ConversationList
from app.store.conversations import listing
from app.store.pages import matching
from app.store.writing.record import Record
from tests.api.conftest import Console
from tests.store.talks import Clock, Talker

NAME = "01890000-0000-7000-8000-00000000000a"
"""A client's own name, which looks like an id."""


async def listed(console: Console, query: str = "") -> list[dict[str, Any]]:
    """All conversations that a query finds, page by page."""
    found: list[dict[str, Any]] = []
    after = ""
    for _ in range(100):
        answer = await console.get(f"/api/conversations?limit=2{query}{after}")
        assert answer.status_code == 200, answer.text
        page = ConversationList.model_validate(answer.json())
        found += answer.json()["data"]
        if not page.has_more:
            return found
        after = f"&after={page.last_id}"
    raise AssertionError("no end")


async def test_conversations_are_listed_with_how_they_began_and_what_they_add_up_to(console: Console) -> None:
    clock = Clock()
    talkers = [Talker(clock) for _ in range(3)]
    talkers[1].changes = {"conversation": NAME, "user": "u1"}
    records = [each.says(f"{n}: {turn}", "so") for turn in range(3) for n, each in enumerate(talkers)]
    await console.ingest.deliver(records)
    assert await listed(console, "&project=nobody") == []
    shown = await listed(console)
    assert [each["exchanges"] for each in shown] == [3, 3, 3]
    assert [each["name"] for each in shown] == [None, NAME, None]
    assert await listed(console, "&order=asc") == shown[::-1]
    for each in shown:
        Conversation.model_validate(each)
        turns = (await console.get(f"/api/exchanges?conversation={each['id']}&order=asc")).json()["data"]
        assert [turns[0]["id"], turns[-1]["id"], len(turns)] == [each["id"], each["last_id"], 3]
        assert (each["started_at"], each["last_at"]) == (turns[0]["started_at"], turns[-1]["started_at"])
        assert each["models"] == sorted({turn["model"] for turn in turns})
        assert each["output_tokens"] == sum(turn["usage"]["output_tokens"] for turn in turns)
    assert await console.ids(f"?conversation={NAME}&order=asc") == await console.ids(
        f"?conversation={shown[1]['id']}&order=asc"
    )
    turn = (await console.get(f"/api/exchanges/{shown[1]['last_id']}")).json()
    assert (turn["conversation_id"], turn["joined_by"]) == (shown[1]["id"], "answer")
    assert turn["parent_id"] not in (None, turn["id"])


def talked() -> list[Record]:
    """Seven conversations of three turns each, at once; in the second turn of some something else happens."""
    clock = Clock()
    talkers = [Talker(clock) for _ in range(7)]
    records = []
    for turn in range(3):
        for number, each in enumerate(talkers):
            changes: dict[str, Any] = {"model": "m1" if number % 2 else "m0"}
            if turn == 1 and number in (2, 5):
                changes |= {"user": "ada", "tags": {"team": "red"}, "duration_us": 9_000_000}
            words = f"{number}: {turn} {'katze' if turn == 1 and number in (1, 5) else 'hund'}"
            record = each.says(words, "so", **changes)
            assert record.content is not None
            said = dataclasses.replace(record.content, said=[one["content"] for one in each.messages])
            records.append(dataclasses.replace(record, content=said))
    return records


FOUND: tuple[tuple[str, list[int]], ...] = (
    ("user=ada", [2, 5]),
    ("user=nobody", []),
    ("model=m1", [1, 3, 5]),
    ("tag.team=red", [2, 5]),
    ("min_duration_ms=8000", [2, 5]),
    ("model=m1&user=ada", [5]),
    ("q=katze", [1, 5]),
    ("q=katze&user=ada", [5]),
    ("q=katze&model=m0", []),
    ("q=hund+-katze", [0, 1, 2, 3, 4, 5, 6]),
)


@pytest.mark.parametrize("are_few", [True, False])
async def test_a_conversation_is_found_by_an_exchange_that_passes_all_filters(
    console: Console, monkeypatch: pytest.MonkeyPatch, are_few: bool
) -> None:
    if not are_few:  # as if more passed than can be looked at one by one
        monkeypatch.setattr(listing, "FEW", 0)
        monkeypatch.setattr(matching, "FEW", -1)
        monkeypatch.setattr(listing, "FIRST_WINDOW", 2)
        monkeypatch.setattr(listing, "FIRST_SEARCHED", 2)
    records = talked()
    await console.ingest.deliver(records)
    for query, numbers in FOUND:
        expected = [str(uuid.UUID(bytes=records[number].id)) for number in numbers]
        assert [each["id"] for each in await listed(console, f"&order=asc&{query}")] == expected, query
        assert [each["id"] for each in await listed(console, f"&{query}")] == expected[::-1], query


async def test_a_time_takes_conversations_that_went_on_then(console: Console) -> None:
    records = talked()
    await console.ingest.deliver(records)
    since = records[19].started_at.isoformat().replace("+00:00", "Z")  # of the last two turns
    assert len(await listed(console, f"&since={since}")) == 2


async def test_a_page_over_its_time_says_how_far_it_came_and_the_next_goes_on(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "FEW", 0)
    monkeypatch.setattr(matching, "FEW", -1)
    monkeypatch.setattr(listing, "FIRST_WINDOW", 3)
    monkeypatch.setattr(listing, "BUDGET_SECONDS", 0)
    records = talked()
    await console.ingest.deliver(records)
    page = (await console.get("/api/conversations?user=ada&order=asc&limit=1")).json()
    assert [each["id"] for each in page["data"]] == [str(uuid.UUID(bytes=records[2].id))]
    assert page["has_more"] and page["incomplete"]
    assert page["last_id"] == str(uuid.UUID(bytes=records[2].id))
    found = await listed(console, "&user=ada")
    assert [each["id"] for each in found] == [str(uuid.UUID(bytes=records[at].id)) for at in (5, 2)]


async def test_sums_of_a_conversation_that_is_too_long_are_unknown(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_SUMMED", 2)
    talker = Talker(Clock())
    await console.ingest.deliver([talker.says(str(turn), "so") for turn in range(3)])
    (one,) = await listed(console)
    assert (one["exchanges"], one["models"], one["cost"], one["output_tokens"]) == (3, None, None, None)


@pytest.mark.parametrize(
    ("query", "param", "told"),
    [
        ("limit=0", "limit", "greater than or equal to 1"),
        ("since=never", "since", "expected a time"),
        ("usr=u", "usr", "did you mean user?"),
        ("zzz=u", "zzz", "expected conversation, "),
        ("user=a&user=b", "user", "more than once"),
        ("q=%22open", "q", "character 0"),
    ],
)
async def test_a_parameter_that_is_none_is_refused(
    console: Console, query: str, param: str, told: str
) -> None:
    answer = await console.get(f"/api/conversations?{query}")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (400, param, "verbatim_error")
    assert told in error["message"]
