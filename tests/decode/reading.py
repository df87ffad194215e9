"""Shorthand of the decoding tests: decode one answer, and say what it came to."""

from __future__ import annotations

import json
import os
from pathlib import Path

from app.decode import Decoded, Message, Request, Response, decode_exchange

FIXTURES = Path(__file__).parent / "fixtures"
RECORDINGS = Path(
    os.environ.get("VERBATIM_RECORDINGS")
    or Path(__file__).parents[2].parent / "shared" / "recordings" / "openai.jsonl"
)
"""Recorded traffic, which is no part of this repository: where the variable says, or beside the checkout."""
PATHS = {
    "chat": b"/v1/chat/completions",
    "completions": b"/v1/completions",
    "responses": b"/v1/responses",
    "embeddings": b"/v1/embeddings",
}


def fixture(name: str) -> bytes:
    """The bytes of a hand-written stream."""
    return (FIXTURES / f"{name}.sse").read_bytes()


def decode_stream(kind: str, body: bytes, *, complete: bool = True) -> Decoded:
    """An SSE answer to a small request."""
    response = Response(200, "text/event-stream; charset=utf-8", None, body, complete)
    return decode_exchange(
        Request("POST", PATHS[kind], content_type="application/json", body=b'{"model":"m"}'), response
    )


def decode_whole(kind: str, request: object, response: object, status: int = 200) -> Decoded:
    """A JSON answer to a JSON request."""
    return decode_exchange(
        Request("POST", PATHS[kind], content_type="application/json", body=json.dumps(request).encode()),
        Response(status, "application/json", None, json.dumps(response).encode()),
    )


def answers(decoded: Decoded) -> list[Message]:
    """The messages of the answer."""
    return [message for message in decoded.messages if message.direction == "response"]


def calls(message: Message) -> list[tuple[str | None, str | None, str | None]]:
    """The tool calls of a message as tuples."""
    return [(call.id, call.name, call.arguments) for call in message.tool_calls]
