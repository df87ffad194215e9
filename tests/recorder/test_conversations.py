"""From the journal to the store: conversations come out as they were held, with no header of a client's."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.recorder.process import RecorderOptions
from tests.recorder.conftest import recording
from tests.recorder.journals import Exchange, Rows, open_writer, write_exchange

SYSTEM = {"role": "system", "content": "You are a careful assistant."}
TOOL = {"id": "call_7", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}


@dataclass
class Client:
    """A program that talks by one of three ways, and sends its history with every call."""

    number: int
    style: str
    history: list[dict[str, Any]] = field(default_factory=list)

    def request(self) -> tuple[bytes, bytes]:
        """Target and body."""
        if self.style == "responses":
            body: dict[str, Any] = {
                "model": "gpt-5",
                "instructions": SYSTEM["content"],
                "input": self.history,
            }
            return b"/v1/responses", json.dumps(body).encode()
        if self.style == "anthropic":
            body = {"model": "claude", "system": SYSTEM["content"], "messages": self.history, "max_tokens": 9}
            return b"/v1/messages", json.dumps(body).encode()
        return b"/v1/chat/completions", json.dumps(
            {"model": "gpt-4o", "messages": [SYSTEM, *self.history]}
        ).encode()

    def answer(self, text: str, *, calls: bool = False) -> bytes:
        """The answer as it is on the wire; what the program keeps of it goes into its history, in other bytes."""
        if self.style == "responses":
            part = {"type": "output_text", "text": text, "annotations": []}
            items = [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "message", "id": f"msg_{text}", "role": "assistant", "content": [part]},
            ]
            self.history.append({"role": "assistant", "content": text})
            return json.dumps({"id": f"resp_{text}", "object": "response", "output": items}).encode()
        if self.style == "anthropic":
            blocks = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": text}]
            self.history.append({"role": "assistant", "content": text})
            return json.dumps(
                {"id": f"msg_{text}", "type": "message", "role": "assistant", "content": blocks}
            ).encode()
        message: dict[str, Any] = {"role": "assistant", "content": None if calls else text, "refusal": None}
        if calls:
            message["tool_calls"] = [TOOL]
        kept = {name: value for name, value in message.items() if value is not None}
        self.history.append(kept)
        if calls:
            self.history.append({"role": "tool", "tool_call_id": "call_7", "content": f"seen {text}"})
        told = {
            "id": f"chatcmpl-{text}",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
        return json.dumps(told).encode()


def options_of(folder: Path, rows: Rows) -> RecorderOptions:
    return RecorderOptions(folder, rows.url, "host")


async def test_ten_interleaved_conversations_come_out_as_ten(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder)
    chance = random.Random(3)
    clients = [Client(n, ("chat", "responses", "anthropic", "chat")[n % 4]) for n in range(10)]
    made: dict[int, list[Exchange]] = defaultdict(list)
    branches: dict[Exchange, Exchange | None] = {}

    def call(client: Client, text: str, before: Exchange | None, *, calls: bool = False) -> Exchange:
        target, body = client.request()
        exchange = write_exchange(writer, body, client.answer(text, calls=calls), 3, target=target)
        made[client.number].append(exchange)
        branches[exchange] = before
        return exchange

    for turn in range(6):
        for client in chance.sample(clients, len(clients)):
            before = made[client.number][-1] if made[client.number] else None
            client.history.append({"role": "user", "content": f"{client.number}: what of {turn}?"})
            if turn == 4 and client.number % 2:
                # The first try fails, and the program sends the same again.
                target, body = client.request()
                failed = write_exchange(writer, body, b'{"error": {"message": "busy"}}', target=target)
                made[client.number].append(failed)
                branches[failed] = before
            last = call(client, f"{client.number} {turn}", before, calls=client.style == "chat" and turn == 2)
            if client.style == "chat" and turn == 2:
                call(client, f"{client.number} {turn} at last", last)
    for client in clients[:3]:
        first = made[client.number][0]
        client.history[2:] = [{"role": "user", "content": "No, something else."}]
        call(client, f"{client.number} else", first)
    writer.close()
    async with recording(options_of(folder, rows)):
        pass
    found = {row["id"].bytes: row for row in await rows.rows("SELECT * FROM exchanges")}
    members = {
        number: {found[each.id]["conversation_id"] for each in exchanges}
        for number, exchanges in made.items()
    }
    assert all(len(each) == 1 for each in members.values())
    assert len(set.union(*members.values())) == 10
    for exchange, before in branches.items():
        parent = found[exchange.id]["parent_id"]
        assert (parent.bytes if parent else None) == (before.id if before else None)
    assert await rows.value("SELECT count(*) FROM conversations") == 10
    assert await rows.value("SELECT sum(exchanges) FROM conversations") == len(branches)


async def test_of_what_is_not_to_be_kept_no_key_is(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder)
    client = Client(0, "chat", [{"role": "user", "content": "yes"}])
    target, body = client.request()
    write_exchange(writer, body, client.answer("no"), target=target, mode="metadata")
    write_exchange(writer, body, client.answer("no"), target=target, mode="metadata", conversation="blue")
    writer.close()
    async with recording(options_of(folder, rows)):
        pass
    found = await rows.rows(
        "SELECT answer_key, request_sha256, conversation_id FROM exchanges ORDER BY started_at"
    )
    assert [(row["answer_key"], row["request_sha256"]) for row in found] == [(None, None)] * 2
    assert [row["conversation_id"] is None for row in found] == [True, False]
    assert await rows.value("SELECT count(*) FROM messages") == 0
