"""Whole exchanges as a proxy writes them into its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from app.clock import wall_ns
from app.exchange import AnswerHead, Begin, End, FrameType, KeptHeaders
from app.journal.writer import JournalWriter


@dataclass(frozen=True, slots=True)
class Written:
    """A chat completion that is over."""

    request: bytes
    answer: Sequence[bytes]
    """The pieces in which it came."""
    asked: KeptHeaders
    told: KeptHeaders
    user: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def write(writer: JournalWriter, exchange_id: bytes, it: Written) -> None:
    """Writes it into an open journal."""
    log = writer.exchange(exchange_id)
    begin = Begin(
        accept_number=writer.next_accept_number(),
        boot=writer.boot,
        slot=writer.slot,
        wall_ns=wall_ns(),
        mode="full",
        method="POST",
        target=b"/v1/chat/completions",
        upstream="v1",
        authority="https://api.openai.com",
        http_version="1.1",
        headers=it.asked,
        project="default",
        user=it.user,
        tags=dict(it.tags),
        key="0123456789abcdef",
        key_tail="wxyz",
    )
    log.stage(FrameType.BEGIN, msgspec.msgpack.encode(begin))
    log.stage(FrameType.REQUEST_CHUNK, it.request)
    log.stage(FrameType.RESPONSE_HEAD, msgspec.msgpack.encode(AnswerHead(200, b"OK", "1.1", it.told)))
    for piece in it.answer:
        log.stage(FrameType.RESPONSE_CHUNK, piece)
    size_bytes = sum(map(len, it.answer))
    log.stage(
        FrameType.END, msgspec.msgpack.encode(End("completed", None, None, len(it.request), size_bytes, True))
    )
    log.flush()
