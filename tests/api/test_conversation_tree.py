"""One conversation as a tree of what was said."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from app.api import conversation_tree
from app.api.schemas.conversations import ConversationTree
from app.store.writing.record import Record
from tests.api.conftest import Console
from tests.store.samples import record
from tests.store.talks import Clock, Message, Talker, chat, exchange


def id_of(sent: Record) -> str:
    return str(uuid.UUID(bytes=sent.id))


async def tree_of(console: Console, records: list[Record], query: str = "") -> dict[str, Any]:
    """The tree of the conversation of the first exchange, checked."""
    answer = await console.get(f"/api/conversations/{id_of(records[0])}{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    ConversationTree.model_validate(found)
    known: set[str | None] = {None}
    for node in found["nodes"]:
        assert node["parent_id"] in known
        assert node["id"] not in known
        known.add(node["id"])
    return found


def paths(found: dict[str, Any]) -> dict[str, list[int]]:
    """`a/b/c` for each node, and which turns said it."""
    numbers = {each["exchange_id"]: at for at, each in enumerate(found["turns"])}
    names: dict[str | None, str] = {None: ""}
    told = {}
    for node in found["nodes"]:
        names[node["id"]] = f"{names[node['parent_id']]}/{node['preview']}"
        told[names[node["id"]][1:]] = [numbers[each] for each in node["exchange_ids"]]
    return told


async def test_what_is_sent_again_is_one_node_and_forks_and_retries_are_branches(console: Console) -> None:
    talker = Talker(Clock())
    first = [talker.says("Hi", "Hello"), talker.says("One?", "1"), talker.says("Two?", "2")]
    fork = talker.fork(2)
    others = [fork.says("Eins?", "1!"), fork.again(), fork.says("Zwei?", "2!")]
    retried = chat(fork.messages[:-1], {"content": "zwei"}, fork.clock.tick())
    await console.ingest.deliver([*first, *others, retried])
    found = await tree_of(console, first)
    assert paths(found) == {
        "Hi": [0],
        "Hi/Hello": [0],
        "Hi/Hello/One?": [1],
        "Hi/Hello/One?/1": [1],
        "Hi/Hello/One?/1/Two?": [2],
        "Hi/Hello/One?/1/Two?/2": [2],
        "Hi/Hello/Eins?": [3, 4],
        "Hi/Hello/Eins?/1!": [3, 4],
        "Hi/Hello/Eins?/1!/Zwei?": [5, 6],
        "Hi/Hello/Eins?/1!/Zwei?/2!": [5],
        "Hi/Hello/Eins?/1!/Zwei?/zwei": [6],
    }
    assert [each["joined_by"] for each in found["turns"]] == [
        *(None, "answer", "answer", "answer", "repeat", "answer", "repeat")
    ]
    assert (found["exchanges"], found["kept"], found["incomplete"], found["title"]) == (7, 7, False, "Hello")
    assert [each["role"] for each in found["nodes"][:2]] == ["user", "assistant"]
    assert not any(each["shortened"] for each in found["turns"])
    for turn in found["turns"]:
        assert turn["asked"] and len(turn["answered"]) == 1


async def test_a_conversation_stays_one_path_though_its_client_leaves_out_what_came_before(
    console: Console,
) -> None:
    clock = Clock()
    talker = Talker(clock)
    sent = [talker.says(f"Q{turn}", f"A{turn}") for turn in range(3)]
    talker.messages = talker.messages[-2:]  # a window that slides
    sent.append(talker.says("Q3", "A3"))
    talker.messages.insert(0, {"role": "user", "content": "What was said so far: much."})
    sent.append(talker.says("Q4", "A4"))
    await console.ingest.deliver(sent)
    found = await tree_of(console, sent)
    assert list(paths(found)) == [
        "/".join(f"Q{at // 2}" if at % 2 == 0 else f"A{at // 2}" for at in range(end)) for end in range(1, 11)
    ]
    assert [each["shortened"] for each in found["turns"]] == [False, False, False, True, True]


async def test_what_the_system_says_stands_beside_and_forks_nothing(console: Console) -> None:
    clock, messages, sent = Clock(), list[Message](), []
    for turn in range(3):
        messages.append({"role": "user", "content": f"Q{turn}"})
        system = {"role": "system", "content": f"It is {turn} o'clock." if turn else "It is noon."}
        sent.append(chat([system, *messages], {"content": f"A{turn}"}, clock.tick()))
        messages.append({"role": "assistant", "content": f"A{turn}"})
    await console.ingest.deliver(sent)
    assert paths(await tree_of(console, sent)) == {
        "It is noon.": [0],
        "Q0": [0],
        "Q0/A0": [0],
        "Q0/A0/It is 1 o'clock.": [1],
        "Q0/A0/Q1": [1],
        "Q0/A0/Q1/A1": [1],
        "Q0/A0/Q1/A1/It is 2 o'clock.": [2],
        "Q0/A0/Q1/A1/Q2": [2],
        "Q0/A0/Q1/A1/Q2/A2": [2],
    }


async def test_tools_and_whole_messages_are_shown(console: Console) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"in": "Ulm"}'}}
    talker = Talker(Clock())
    first = talker.says("x" * 300, {"content": None, "tool_calls": [call]})
    talker.messages.append({"role": "tool", "tool_call_id": "c1", "content": "sunny"})
    await console.ingest.deliver([first, talker.calls("Sun.")])
    found = await tree_of(console, [first], "?messages=true")
    assert [each["role"] for each in found["nodes"]] == ["user", "assistant", "tool", "assistant"]
    assert [each["preview"] for each in found["nodes"]] == [
        "x" * 199 + "…",
        'weather({"in": "Ulm"})',
        "sunny",
        "Sun.",
    ]
    assert found["nodes"][0]["messages"][0]["text"] == "x" * 300
    assert found["nodes"][1]["messages"][0]["tool_calls"][0]["name"] == "weather"


async def test_what_the_provider_holds_is_gone_on_from(console: Console) -> None:
    clock, sent, last = Clock(), [], None
    for turn in range(3):
        asked = {"model": "m", "input": f"Q{turn}", **({"previous_response_id": last} if last else {})}
        last = f"resp_{turn}"
        output = [
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": f"A{turn}"}]}
        ]
        told = {"id": last, "object": "response", "status": "completed", "output": output}
        sent.append(exchange("/v1/responses", asked, told, clock.tick()))
    await console.ingest.deliver(sent)
    found = await tree_of(console, sent)
    assert list(paths(found))[-1] == "Q0/A0/Q1/A1/Q2/A2"
    assert len(found["nodes"]) == 6
    assert not any(each["shortened"] for each in found["turns"])


async def test_a_long_conversation_is_cut_and_says_so(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    talker = Talker(Clock())
    sent = [talker.says(f"Q{turn}", "so") for turn in range(5)]
    await console.ingest.deliver(sent)
    found = await tree_of(console, sent, "?limit=3")
    assert (len(found["turns"]), found["incomplete"], found["exchanges"]) == (3, True, 5)
    monkeypatch.setattr(conversation_tree, "BUDGET_SECONDS", 0)
    monkeypatch.setattr(conversation_tree, "STEP", 2)
    found = await tree_of(console, sent)
    assert (len(found["turns"]), found["incomplete"], len(found["nodes"])) == (2, True, 4)


async def test_what_is_not_kept_is_a_turn_without_nodes(console: Console) -> None:
    clock = Clock()
    sent = [
        record(conversation="c", at_ns=clock.tick(), content=None),
        chat([{"role": "user", "content": "Q"}], {"content": "A"}, clock.tick(), conversation="c"),
    ]
    await console.ingest.deliver(sent)
    found = await tree_of(console, sent)
    assert (found["kept"], [each["asked"] is None for each in found["turns"]]) == (1, [True, False])
    assert list(paths(found)) == ["Q", "Q/A"]


async def test_a_conversation_that_is_none_is_not_found(console: Console) -> None:
    answer = await console.get(f"/api/conversations/{uuid.UUID(int=7)}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "conversation_id")
    answer = await console.get("/api/conversations/x")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "conversation_id")
