"""Made-up agent runs: every call sends the whole history again, 2 KB longer than the last. Pure; the same each time.

The text is English and Python from the documentation that comes with Python, in another order and with other numbers
in every run; the system prompt and the tools are those of all runs.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pydoc_data import topics
from typing import Any

RESULT_BYTES = 1_350
TOOLS = 8


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a run and its answer, as they stand on the wire."""

    request: bytes
    answer: bytes


class AgentRuns:
    """Makes runs from sentences."""

    def __init__(self) -> None:
        self._lines = _lines()
        source = random.Random(0)
        self._system = "You are an agent that mends software. " + self._text(source, 1_800)
        self._tools = [self._tool(source, number) for number in range(TOOLS)]

    def run(self, number: int, turns: int, *, stream: bool = False) -> Iterator[Call]:
        """The calls of one run."""
        source = random.Random(f"run {number}")
        talk: list[dict[str, Any]] = [
            {"role": "system", "content": self._system},
            {"role": "user", "content": self._text(source, 900)},
        ]
        for _ in range(turns):
            message = self._answer(source)
            fields = {"model": "gpt-5-mini", "messages": talk, "tools": self._tools, "stream": stream}
            answer = _events(source, message) if stream else _whole(source, message)
            yield Call(json.dumps(fields).encode(), answer)
            call_id = message["tool_calls"][0]["id"]
            result = {"role": "tool", "tool_call_id": call_id, "content": self._text(source, RESULT_BYTES)}
            talk += (message, result)

    def _answer(self, source: random.Random) -> dict[str, Any]:
        call = {
            "id": f"call_{source.getrandbits(120):030x}",
            "type": "function",
            "function": {
                "name": f"tool_{source.randrange(TOOLS)}",
                "arguments": json.dumps({"path": _path(source), "text": self._text(source, 150)}),
            },
        }
        return {"role": "assistant", "content": self._text(source, 180), "tool_calls": [call]}

    def _tool(self, source: random.Random, number: int) -> dict[str, Any]:
        properties = {
            name: {"type": "string", "description": self._text(source, 90)}
            for name in ("path", "text", "how")
        }
        return {
            "type": "function",
            "function": {
                "name": f"tool_{number}",
                "description": self._text(source, 250),
                "parameters": {"type": "object", "properties": properties, "required": ["path"]},
            },
        }

    def _text(self, source: random.Random, length: int) -> str:
        """About so many characters of real text that no other call has in this order."""
        parts: list[str] = []
        size = 0
        while size < length:
            line = source.choice(self._lines)
            if source.random() < 0.2:
                line = f"{_path(source)}:{source.randrange(2_000)}: {line}"
            parts.append(line)
            size += len(line) + 1
        return "\n".join(parts)[:length]


def _lines() -> list[str]:
    text = "\n".join(topics.topics[name] for name in sorted(topics.topics))
    return [each for line in re.split(r"\n\s*\n", text) if 20 < len(each := " ".join(line.split())) < 400]


def _path(source: random.Random) -> str:
    return f"src/{source.getrandbits(20):05x}/{source.choice(('store', 'journal', 'pages'))}_{source.randrange(99)}.py"


def _usage(source: random.Random) -> dict[str, Any]:
    asked, told = source.randrange(1_000, 40_000), source.randrange(50, 400)
    return {
        "prompt_tokens": asked,
        "completion_tokens": told,
        "total_tokens": asked + told,
        "prompt_tokens_details": {"cached_tokens": asked // 128 * 128, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _envelope(source: random.Random, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{source.getrandbits(116):029x}",
        "object": kind,
        "created": 1_760_000_000 + source.randrange(10_000_000),
        "model": "gpt-5-mini-2026-02-01",
        "service_tier": "default",
        "system_fingerprint": f"fp_{source.getrandbits(40):010x}",
    }


def _whole(source: random.Random, message: dict[str, Any]) -> bytes:
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    answer = _envelope(source, "chat.completion")
    return json.dumps(answer | {"choices": [choice], "usage": _usage(source)}, indent=2).encode()


def _events(source: random.Random, message: dict[str, Any]) -> bytes:
    """The same as a stream, a word an event."""
    envelope = _envelope(source, "chat.completion.chunk")
    call = message["tool_calls"][0]
    begun = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": word} for word in re.findall(r"\s*\S+", message["content"])]
    deltas.append({"tool_calls": [begun]})
    deltas += [
        {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
        for piece in re.findall(r"\s*\S+", call["function"]["arguments"])
    ]
    choices: list[list[dict[str, Any]]] = [
        [{"index": 0, "delta": each, "logprobs": None, "finish_reason": None}] for each in deltas
    ]
    choices.append([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "tool_calls"}])
    events = [envelope | {"choices": each, "usage": None} for each in choices]
    events.append(envelope | {"choices": [], "usage": _usage(source)})
    lines = [f"data: {json.dumps(each, separators=(',', ':'))}\n\n" for each in events]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()
