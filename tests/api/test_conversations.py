"""`/api/conversations`, and the exchanges of one of them."""

from __future__ import annotations

from app.api.schemas import Conversation
from tests.api.conftest import Console
from tests.store.talks import Clock, Talker

NAME = "01890000-0000-7000-8000-00000000000a"
"""A client's own name, which looks like an id."""


async def test_conversations_are_listed_with_how_they_began(console: Console) -> None:
    clock = Clock()
    talkers = [Talker(clock) for _ in range(3)]
    talkers[1].changes = {"conversation": NAME, "user": "u1"}
    records = [each.says(f"{n}: {turn}", "so") for turn in range(3) for n, each in enumerate(talkers)]
    await console.ingest.deliver(records)
    page = (await console.get("/api/conversations?limit=2")).json()
    assert page["has_more"] is True
    rest = (await console.get(f"/api/conversations?after={page['last_id']}")).json()
    assert rest["has_more"] is False
    assert (await console.get("/api/conversations?project=nobody")).json()["data"] == []
    shown = page["data"] + rest["data"]
    assert [each["exchanges"] for each in shown] == [3, 3, 3]
    assert [each["name"] for each in shown] == [None, NAME, None]
    for each in shown:
        Conversation.model_validate(each)
        turns = await console.ids(f"?conversation={each['id']}&order=asc")
        assert (turns[0], turns[-1], len(turns)) == (each["id"], each["last_id"], 3)
    assert await console.ids(f"?conversation={NAME}&order=asc") == await console.ids(
        f"?conversation={shown[1]['id']}&order=asc"
    )
    turn = (await console.get(f"/api/exchanges/{shown[1]['last_id']}")).json()
    assert (turn["conversation_id"], turn["joined_by"]) == (shown[1]["id"], "answer")
    assert turn["parent_id"] not in (None, turn["id"])


async def test_a_parameter_that_is_none_is_refused(console: Console) -> None:
    assert (await console.get("/api/conversations?limit=0")).status_code == 400
    assert (await console.get("/api/conversations?user=u")).status_code == 400
