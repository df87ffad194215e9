"""Exchanges of conversations: a client that holds its messages, and a clock that every call moves on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from app.clock import new_id
from app.decode import Request, Response, decode_exchange
from app.recorder.talk import talk_of
from app.store.writing.record import Record
from tests.store.samples import NOON_NS, talk

SECOND_NS = 1_000_000_000
Message = dict[str, Any]


@dataclass
class Clock:
    """The time of the next call."""

    now_ns: int = NOON_NS

    def tick(self, seconds: float = 1.0) -> int:
        """Moves on."""
        self.now_ns += int(seconds * SECOND_NS)
        return self.now_ns


def exchange(
    path: str,
    request: dict[str, Any],
    answer: dict[str, Any],
    at_ns: int,
    method: str = "POST",
    **changes: Any,
) -> Record:
    """One exchange as the recorder makes it."""
    body, told = json.dumps(request).encode() if request else b"", json.dumps(answer).encode()
    decoded = decode_exchange(
        Request(method, path.encode(), content_type="application/json", body=body),
        Response(200, "application/json", None, told),
    )
    values = {
        "exchange_id": new_id(at_ns),
        "method": method,
        "path": path,
        "route": decoded.route,
        "upstream_id": decoded.upstream_id,
        "talk": talk_of(decoded),
        **changes,
    }
    return talk(body, told, **values)


def chat(messages: list[Message], answer: Message, at_ns: int, **changes: Any) -> Record:
    """A chat completion."""
    told = {
        "id": f"chatcmpl-{at_ns}",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", **answer}, "finish_reason": "stop"}],
    }
    return exchange("/v1/chat/completions", {"model": "gpt-4o", "messages": messages}, told, at_ns, **changes)


@dataclass
class Talker:
    """A client of chat completions."""

    clock: Clock
    messages: list[Message] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    given: dict[int, bytes] = field(default_factory=dict)
    """Who gave the answer with which so many messages end, for tests that keep it."""

    def says(self, words: str, answer: str | Message, **changes: Any) -> Record:
        """Adds what the user says, calls, and adds what is answered."""
        self.messages.append({"role": "user", "content": words})
        return self.calls(answer, **changes)

    def calls(self, answer: str | Message, **changes: Any) -> Record:
        """Calls with the messages as they are, and adds what is answered."""
        told: Message = {"content": answer} if isinstance(answer, str) else answer
        made = chat(list(self.messages), told, self.clock.tick(), **{**self.changes, **changes})
        self.messages.append({"role": "assistant", **told})
        self.records.append(made)
        return made

    def again(self, **changes: Any) -> Record:
        """Sends the last request once more."""
        last = self.messages.pop()
        told = {name: value for name, value in last.items() if name != "role"}
        return self.calls(told, **changes)

    def fork(self, keep: int) -> Talker:
        """Another client that goes on from the first `keep` messages."""
        return Talker(self.clock, list(self.messages[:keep]), [], dict(self.changes), dict(self.given))
