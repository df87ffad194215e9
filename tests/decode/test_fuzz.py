"""Decoding is total: whatever the bytes, a value comes out, it fits PostgreSQL, and it comes soon."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from app.decode import Decoded, Request, Response, decode_exchange
from tests.decode.reading import FIXTURES, PATHS

MUTANTS = 20_000
STATUSES = {"decoded", "partial", "unreadable", "too_large", "opaque"}
SPLICES = [
    b"\n", b"\r", b"data:", b"data: [DONE]\n\n", b"{", b"}", b"[", b"]", b'"', b"null", b"-1", b"1e999", b"9" * 400,
    b"\\u0000", b"\\ud800", b"\x00", b"\xff", b"event: error\n", b'"index":0,', b'"choices":', b"[" * 2000, b"true",
]  # fmt: skip


def seeds() -> list[tuple[bytes, bytes]]:
    streams = [(_path_of(file.name), file.read_bytes()) for file in sorted(FIXTURES.glob("*.sse"))]
    chat = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "model": "m",
        "user": "u",
    }
    item = {"type": "function_call", "call_id": "a", "name": "one", "arguments": "{}", "content": "Hi"}
    return [
        *streams,
        (PATHS["chat"], json.dumps(chat).encode()),
        (PATHS["responses"], json.dumps({"input": [item]}).encode()),
    ]


def _path_of(name: str) -> bytes:
    kind = name.partition("_")[0].removesuffix(".sse")
    return PATHS.get(kind, PATHS["chat"])


def mutate(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """One to six of: a flipped bit, a cut, a piece doubled, a piece of another input, a piece of syntax."""
    body = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(body) + 1)
        end = min(len(body), at + chance.randint(0, 60))
        match chance.randrange(6):
            case 0 if body:
                body[at % len(body)] ^= 1 << chance.randrange(8)
            case 1:
                del body[at:end]
            case 2:
                body[at:at] = body[at:end]
            case 3:
                start = chance.randrange(len(other) + 1)
                body[at:at] = other[start : start + chance.randint(0, 200)]
            case 4:
                body[at:at] = chance.choice(SPLICES)
            case _:
                body = body[:at] if chance.random() < 0.2 else body
    return bytes(body)


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for item in value.items() for text in texts(item))
    elif isinstance(value, list | tuple):
        yield from (text for item in value for text in texts(item))


def check(decoded: Decoded) -> None:
    """What PostgreSQL would refuse, or a list would not show."""
    assert decoded.capture_status in STATUSES
    joined = "".join(texts(dataclasses.asdict(decoded)))
    assert "\0" not in joined
    joined.encode()
    assert len(decoded.request_preview or "") <= 200
    assert len(decoded.response_preview or "") <= 200
    for name, count in dataclasses.asdict(decoded.usage).items():
        assert not name.endswith("_tokens") or count is None or 0 <= count < 1 << 63
    json.dumps([message.parts for message in decoded.messages], allow_nan=False)
    assert "\\u0000" not in (decoded.usage.verbatim or "").replace("\\\\", "")


def test_twenty_thousand_mutants_give_twenty_thousand_values() -> None:
    chance = random.Random(20_261_122)
    inputs = seeds()
    for _ in range(MUTANTS):
        path, data = chance.choice(inputs)
        mutant = mutate(data, chance.choice(inputs)[1], chance)
        kind = chance.choice(["text/event-stream", "application/json"])
        request = mutant if chance.random() < 0.3 else b'{"model":"m"}'
        check(
            decode_exchange(
                Request("POST", path, body=request),
                Response(chance.choice([200, 400]), kind, None, mutant, chance.random() < 0.5),
            )
        )


WORDS = st.sampled_from(
    "choices delta message content text type role tool_calls function name arguments index id usage error item "
    "response output output_index item_id messages input prompt data embedding object model finish_reason".split()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
KINDS = st.sampled_from(
    [
        "response.output_item.done",
        "response.output_item.added",
        "response.output_text.delta",
        "response.completed",
        "error",
    ]
)


@given(st.lists(st.tuples(KINDS, JSON), max_size=6), st.sampled_from(sorted(PATHS.values())))
def test_any_values_in_any_fields_give_a_value(values: list[tuple[str, object]], path: bytes) -> None:
    bodies = [{**value, "type": kind} if isinstance(value, dict) else value for kind, value in values]
    stream = b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies)
    check(
        decode_exchange(Request("POST", path, body=b"{}"), Response(200, "text/event-stream", None, stream))
    )
    for body in bodies:
        data = json.dumps(body).encode()
        check(
            decode_exchange(Request("POST", path, body=data), Response(400, "application/json", None, data))
        )


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=60), st.text(max_size=12))
def test_any_bytes_anywhere_give_a_value(asked: bytes, told: bytes, path: bytes, kind: str) -> None:
    for method in ("POST", "GET", "CONNECT"):
        check(
            decode_exchange(
                Request(method, path, path, kind, kind, asked),
                Response(200, kind, kind, told, complete=False),
            )
        )


def test_large_hostile_inputs_take_time_in_proportion() -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"x","tool_calls":[{"id":"%d","function":{}}]}}]}\n\n'
    bodies = [
        b"".join(chunk % i for i in range(15_000)),
        b"data: " * 400_000,
        b"\n" * 1_000_000,
        b"data: x\n" * 200_000,
        b'data: {"response":{"%s":1}}\n\n' * 40_000,
        b"".join(b'data: {"response":{"k%d":1}}\n\n' % i for i in range(40_000)),
        b'data: {"a":1}' * 80_000,
        b'{"messages":' + b"[" * 1_000_000,
    ]
    for body in bodies:
        for path in (PATHS["chat"], PATHS["responses"]):
            check(
                decode_exchange(
                    Request("POST", path, body=b"{}"), Response(200, "text/event-stream", None, body)
                )
            )
