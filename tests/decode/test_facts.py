"""Facts hold what was set and told, and nothing of what was said."""

from __future__ import annotations

import json
from typing import Any

from app.decode.facts import FACTS_BYTES, read_facts
from app.decode.jsonsafe import TextCleaner
from app.decode.lineage import Lineage, read_lineage


def facts(asked: dict[str, Any], told: dict[str, Any]) -> Any:
    text = read_facts(asked, told, TextCleaner())
    return json.loads(text) if text is not None else None


def test_settings_and_endings_stay_and_words_go() -> None:
    asked = {
        "model": "gpt-4o",
        "temperature": 0.5,
        "stop": None,
        "messages": [{"role": "user", "content": "secret"}],
        "tools": [{"type": "function", "function": {"name": "ls", "description": "secret"}}],
        "metadata": {"team": "blue"},
        "text": {"format": {"type": "json_schema", "schema": {"secret": 1}}},
        "stream_options": {"include_usage": True},
    }
    message = {"role": "assistant", "content": "secret", "tool_calls": [call_of("secret")]}
    told = {
        "id": "chatcmpl-1",
        "created": 1,
        "usage": {"total_tokens": 3},
        "model": "gpt-4o-2024",
        "choices": [{"index": 0, "message": message, "logprobs": {"content": []}, "finish_reason": "stop"}],
    }
    found = facts(asked, told)
    assert "secret" not in json.dumps(found)
    assert found["request"] == {
        "model": "gpt-4o",
        "temperature": 0.5,
        "metadata": {"team": "blue"},
        "text": {"format": {"type": "json_schema"}},
        "stream_options": {"include_usage": True},
    }
    called = {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "ls"}}]}
    assert found["response"] == {
        "model": "gpt-4o-2024",
        "choices": [{"index": 0, "message": called, "finish_reason": "stop"}],
    }


def call_of(arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "ls", "arguments": arguments}}


def test_vectors_and_base64_go() -> None:
    told = {"object": "list", "model": "m", "data": [{"index": 0, "embedding": [0.1] * 1_536}]}
    assert facts({"input": "words"}, told) == {"response": {"object": "list", "model": "m"}}
    item = {"type": "image_generation_call", "status": "completed", "result": "iVBORw0K"}
    assert facts({}, {"output": [item]})["response"]["output"] == [
        {"type": "image_generation_call", "status": "completed"}
    ]


def test_long_strings_are_cut_and_long_facts_lose_their_largest_fields() -> None:
    found = facts({"user": "u" * 1_000, "seed": 7}, {})
    assert found == {"request": {"user": "u" * 256, "seed": 7}}
    wide = {f"field{n}": {"values": [f"{each}" * 60 for each in range(n)]} for n in range(16)}
    text = read_facts({**wide, "seed": 7}, {"object": "x"}, TextCleaner())
    assert text is not None
    assert len(text.encode()) <= FACTS_BYTES
    found = json.loads(text)
    assert found["cut"] is True
    assert found["request"]["seed"] == 7
    assert found["response"] == {"object": "x"}


def test_hostile_bodies_give_bounded_facts() -> None:
    deep: Any = {}
    for _ in range(80):
        deep = {"a": deep, "b": [deep]} if len(json.dumps(deep)) < 10_000 else {"a": deep}
    wide: dict[str, object] = {str(n): n for n in range(100_000)}
    odd: dict[str, object] = {"a\0b": "\ud800", "n": float("inf"), "\ud83d": "x" * 10_000, "big": 10**400}
    bodies: list[dict[str, object]] = [deep, wide, odd, {"a": [wide] * 3}]
    for body in bodies:
        text = read_facts(body, body, TextCleaner())
        assert text is None or len(text.encode()) <= FACTS_BYTES
        assert text is None or "\0" not in text


def test_nothing_is_no_fact() -> None:
    assert facts({}, {}) is None
    assert facts({"messages": []}, {"id": "x"}) is None


def lineage(path: str, route: str, asked: dict[str, Any], told: dict[str, Any] | None = None) -> Lineage:
    return read_lineage(path.encode(), route, asked, told or {}, TextCleaner())


def test_what_an_exchange_names_is_read_from_body_and_path() -> None:
    asked = {"previous_response_id": "resp_1", "conversation": {"id": "conv_1"}}
    assert lineage("/v1/responses", "responses", asked) == Lineage(True, "resp_1", "conv_1")
    assert (
        lineage("/v1/responses", "responses", {}, {"conversation": {"id": "conv_2"}}).conversation == "conv_2"
    )
    assert lineage("/v1/responses/resp_2/cancel", "responses/{id}/cancel", {}) == Lineage(
        False, "resp_2", None
    )
    assert lineage("/v1/threads/thread_1/runs", "threads/{id}/runs", {}) == Lineage(True, None, "thread_1")
    assert lineage("/v1/threads", "threads", {}, {"id": "thread_2"}) == Lineage(True, None, "thread_2")
    assert (
        lineage("/v1/threads/runs", "threads/runs", {}, {"thread_id": "thread_3"}).conversation == "thread_3"
    )
    assert lineage("/v1/embeddings", "embeddings", {}) == Lineage()
    odd = {"previous_response_id": 7, "conversation": ["x"]}
    assert lineage("/v1/responses", "responses", odd) == Lineage(True, None, None)
