"""A session over a WebSocket, held with the official SDK: nothing differs, and what was said is on record."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.product import running_product

pytestmark = pytest.mark.timeout(120)
KEY = "sk-canary-realtime-0123456789"
USAGE = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {"text_tokens": 20, "audio_tokens": 0, "cached_tokens": 5},
    "output_token_details": {"text_tokens": 10, "audio_tokens": 0},
}


async def realtime_upstream(connection: ServerConnection) -> None:
    """Greets, confirms items, and answers every `response.create` with its number."""
    number = 0

    async def send(**event: Any) -> None:
        await connection.send(json.dumps({"event_id": "event_1", **event}))

    await send(
        type="session.created",
        session={"id": "sess_1", "model": "gpt-realtime", "object": "realtime.session"},
    )
    try:
        async for text in connection:
            event = json.loads(text)
            if event["type"] == "conversation.item.create":
                item = {"id": f"item_u{number}", "object": "realtime.item", **event["item"]}
                await send(type="conversation.item.added", item=item)
                await send(type="conversation.item.done", item=item)
            elif event["type"] == "response.create":
                number += 1
                await answer(send, number)
    except ConnectionClosed:
        return


async def answer(send: Any, number: int) -> None:
    ids = {
        "response_id": f"resp_{number}",
        "item_id": f"item_a{number}",
        "output_index": 0,
        "content_index": 0,
    }
    item = {"id": f"item_a{number}", "object": "realtime.item", "type": "message", "role": "assistant"}
    said = {"type": "output_text", "text": f"Answer {number} é"}
    response = {"id": f"resp_{number}", "object": "realtime.response", "model": "gpt-realtime"}
    await send(type="response.created", response={**response, "status": "in_progress", "output": []})
    await send(type="response.output_item.added", response_id=f"resp_{number}", output_index=0, item=item)
    for piece in ("Answer ", f"{number} ", "é"):
        await send(type="response.output_text.delta", delta=piece, **ids)
    await send(type="response.output_text.done", text=said["text"], **ids)
    done = {**item, "status": "completed", "content": [said]}
    await send(type="response.output_item.done", response_id=f"resp_{number}", output_index=0, item=done)
    await send(
        type="response.done",
        response={**response, "status": "completed", "output": [done], "usage": USAGE},
    )


async def converse(base_url: str) -> list[str]:
    """Two turns with the SDK; the types of all events that came, and the texts."""
    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{base_url}/v1", max_retries=0)
    seen: list[str] = []
    async with client.realtime.connect(model="gpt-realtime") as connection:
        for turn in (1, 2):
            await connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": f"Question {turn}"}],
                }
            )
            await connection.response.create()
            async for event in connection:
                seen.append(event.type)
                if event.type == "response.done":
                    seen.append(str(event.response.status))
                    break
                if event.type == "response.output_text.done":
                    seen.append(event.text)
    await client.close()
    return seen


async def test_a_session_with_the_sdk_is_the_same_and_its_messages_and_usage_are_on_record(tmp_path):
    async with serve(realtime_upstream, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        direct = await converse(f"http://127.0.0.1:{port}")
        async with running_product(tmp_path / "data", upstream=f"http://127.0.0.1:{port}") as product:
            assert await converse(product.proxy_url) == direct
            [listed] = await product.exchanges(1)
            exchange = await product.get_json(f"/api/exchanges/{listed['id']}")
        assert (exchange["status"], exchange["outcome"], exchange["path"]) == (
            101,
            "completed",
            "/v1/realtime",
        )
        assert (exchange["model"], exchange["capture_status"]) == ("gpt-realtime", "decoded")
        said = [(each["direction"], each["role"], each["text"]) for each in exchange["messages"]]
        assert said == [
            ("request", "user", "Question 1"),
            ("response", "assistant", "Answer 1 é"),
            ("request", "user", "Question 2"),
            ("response", "assistant", "Answer 2 é"),
        ]
        usage = exchange["usage"]
        assert (usage["input_tokens"], usage["cached_tokens"], usage["output_tokens"]) == (40, 10, 20)
        assert exchange["key"] is not None
        for path in (tmp_path / "data").rglob("*"):
            if path.is_file():
                assert KEY.encode() not in path.read_bytes(), path


async def test_a_compressed_session_is_read_too(tmp_path):
    async with (
        serve(realtime_upstream, "127.0.0.1", 0, compression="deflate") as server,
        running_product(
            tmp_path / "data", upstream=f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        ) as product,
    ):
        async with connect(
            f"ws://127.0.0.1:{product.port}/v1/realtime?model=gpt-realtime", compression="deflate"
        ) as client:
            assert client.response is not None
            assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
            for _ in range(3):
                await client.send(json.dumps({"type": "response.create"}))
                while json.loads(await client.recv())["type"] != "response.done":
                    continue
        [listed] = await product.exchanges(1)
        exchange = await product.get_json(f"/api/exchanges/{listed['id']}")
    assert [each["text"] for each in exchange["messages"]] == [f"Answer {number} é" for number in (1, 2, 3)]
    assert exchange["usage"]["total_tokens"] == 90
