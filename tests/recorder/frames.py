"""Frames of made-up exchanges, and a segment in memory that holds them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from app.clock import new_id, wall_ns
from app.exchange import AnswerHead, Begin, End, FrameType
from app.journal.frame import NO_EXCHANGE, Frame
from app.recorder.segment import Segment

encode = msgspec.msgpack.encode
JSON = [(b"Content-Type", b"application/json")]
REQUEST = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say hello."}]}'
ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}'
)


def begin_of(number: int = 0, **changes: Any) -> Begin:
    """The head of a call of chat/completions."""
    values: dict[str, Any] = dict(
        accept_number=number,
        boot="0a0b0c0d",
        slot=0,
        wall_ns=wall_ns(),
        mode="full",
        method="POST",
        target=b"/v1/chat/completions?x=1",
        upstream="v1",
        authority="https://api.openai.com",
        http_version="1.1",
        headers=JSON,
        project="default",
    )
    return Begin(**(values | changes))


def frames_of(
    begin: Begin | None = None,
    request: bytes = REQUEST,
    answer: bytes = ANSWER,
    pieces: int = 1,
    exchange_id: bytes | None = None,
    started_ns: int = 1_000_000_000,
    with_end: bool = True,
) -> list[Frame]:
    """All frames of one exchange, a millisecond apart; offsets are all 0."""
    begin = begin if begin is not None else begin_of()
    size = max(1, -(-len(answer) // pieces))
    payloads: list[tuple[FrameType, bytes]] = [(FrameType.BEGIN, encode(begin))]
    if request:
        payloads.append((FrameType.REQUEST_CHUNK, request))
    payloads.append((FrameType.RESPONSE_HEAD, encode(AnswerHead(200, b"OK", "1.1", JSON))))
    payloads += [
        (FrameType.RESPONSE_CHUNK, answer[start : start + size]) for start in range(0, len(answer), size)
    ]
    if with_end:
        end = End("completed", None, None, len(request), len(answer), True)
        payloads.append((FrameType.END, encode(end)))
    exchange_id = exchange_id if exchange_id is not None else new_id(wall_ns())
    return [
        Frame(0, kind, 0, exchange_id, started_ns + number * 1_000_000, number, payload)
        for number, (kind, payload) in enumerate(payloads)
    ]


def note_frame(note: msgspec.Struct) -> Frame:
    """A NOTE that belongs to no exchange."""
    return Frame(0, FrameType.NOTE, 0, NO_EXCHANGE, 0, 0, encode(note))


@dataclass
class Shelf:
    """A segment's frames in memory, at the places where they would be in a file."""

    counter: int = 0
    is_carry: bool = False
    boot: str = "0a0b0c0d"
    frames: list[Frame] = field(default_factory=list)
    segment: Segment = field(init=False)

    def __post_init__(self) -> None:
        chain = (self.boot, 0)
        self.segment = Segment(f"s-{self.counter}", chain, self.counter, self, is_carry=self.is_carry)

    def put(self, frames: list[Frame]) -> list[Frame]:
        """Adds frames and gives them with their offsets."""
        placed = []
        for frame in frames:
            last = self.frames[-1] if self.frames else None
            offset = last.offset + last.size_bytes if last else 100
            self.frames.append(replace(frame, offset=offset))
            placed.append(self.frames[-1])
        return placed

    def payload_at(self, offset: int) -> Frame:
        """As app.journal.reader's."""
        return self.frames[bisect_left(self.frames, offset, key=lambda frame: frame.offset)]

    def close(self) -> None:
        """As app.journal.reader's."""
