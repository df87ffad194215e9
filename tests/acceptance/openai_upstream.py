"""An upstream that answers as OpenAI does, for the routes that the SDK tests use."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from tests.fakes.upstream import Connection, ReceivedRequest

AUDIO = random.Random(1).randbytes(300_000)
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
MESSAGE = "Grüße, 世界 \U0001f600 end."


async def openai_upstream(connection: Connection) -> None:
    """Script for ScriptedUpstream."""
    while (request := await connection.read_request()) is not None:
        for piece in answer(request):
            await connection.send(piece)
            await asyncio.sleep(0)


def answer(request: ReceivedRequest) -> list[bytes]:
    """The pieces of the answer to a request."""
    key = (request.field(b"authorization") or b"").decode()
    if key == "Bearer bad":
        return [error(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key")]
    if key == "Bearer busy":
        return [error(429, "Rate limit reached.", "requests", "rate_limit_exceeded", "Retry-After: 7\r\n")]
    if key == "Bearer broken":
        return [error(500, "The server had an error.", "server_error", None)]
    path = request.target.split(b"?")[0]
    if path == b"/v1/files":
        return [
            whole({"id": "file-1", "object": "file", "bytes": len(request.body), "created_at": 1, **_FILE})
        ]
    if path == b"/v1/audio/speech":
        head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = [AUDIO[at : at + 10_000] for at in range(0, len(AUDIO), 10_000)]
        return [head, *[b"%x\r\n%b\r\n" % (len(each), each) for each in chunks], b"0\r\n\r\n"]
    body = json.loads(request.body) if request.body else {}
    streams = {b"/v1/chat/completions": chat_events, b"/v1/responses": response_events}
    if body.get("stream"):
        return sse(streams[path]())
    return [whole(_WHOLE[path])]


_FILE: Any = {"filename": "a.jsonl", "purpose": "batch", "status": "processed"}
_CHAT: Any = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5",
    "usage": USAGE,
}
_RESPONSE: Any = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "status": "completed",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": MESSAGE, "annotations": []}],
        }
    ],
    "usage": {
        "input_tokens": 9,
        "output_tokens": 3,
        "total_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 1},
    },
}
_WHOLE = {
    b"/v1/chat/completions": {
        **_CHAT,
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": MESSAGE}}
        ],
    },
    b"/v1/responses": _RESPONSE,
    b"/v1/embeddings": {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5, 3.0]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    },
    b"/v1/models": {
        "object": "list",
        "data": [{"id": "gpt-5", "object": "model", "created": 1, "owned_by": "openai"}],
    },
}


def whole(value: object) -> bytes:
    """A JSON answer."""
    body = json.dumps(value, ensure_ascii=False).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


def error(status: int, message: str, kind: str, code: str | None, fields: str = "") -> bytes:
    """An error in OpenAI's envelope."""
    body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})
    head = f"HTTP/1.1 {status} Error\r\n{fields}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def sse(events: list[bytes]) -> list[bytes]:
    """A streamed answer, each event cut in two pieces at an odd place."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [piece for event in events for piece in (event[: len(event) // 2], event[len(event) // 2 :])]
    return [head, *[b"%x\r\n%b\r\n" % (len(each), each) for each in chunks], b"0\r\n\r\n"]


def chat_events() -> list[bytes]:
    """A chat completion, a character a chunk, with usage at its end."""
    base = {**_CHAT, "object": "chat.completion.chunk", "usage": None}
    deltas: Any = [
        {"role": "assistant", "content": ""},
        *[{"content": each} for each in MESSAGE],
    ]
    chunks: Any = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**base, "choices": [], "usage": USAGE})
    return [b"data: " + json.dumps(each, ensure_ascii=False).encode() + b"\n\n" for each in chunks] + [
        b"data: [DONE]\n\n"
    ]


def response_events() -> list[bytes]:
    """A response with its text in deltas and the whole in the terminal event."""
    deltas: Any = [
        {
            "type": "response.output_text.delta",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": each,
        }
        for each in MESSAGE
    ]
    events = [
        {
            "type": "response.created",
            "response": {**_RESPONSE, "status": "in_progress", "output": [], "usage": None},
        },
        *deltas,
        {"type": "response.completed", "response": _RESPONSE},
    ]
    numbered: Any = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return [
        f"event: {each['type']}\ndata: {json.dumps(each, ensure_ascii=False)}\n\n".encode()
        for each in numbered
    ]
