"""Records to deliver."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Iterator
from itertools import count
from typing import Any

from app.clock import id_milliseconds, new_id, utc_from_ns
from app.store.slices.pieces import HeldBody
from app.store.writing.record import ChunkTime, Content, Record, Usage

NOON_NS = int(datetime.datetime(2026, 11, 18, 12, tzinfo=datetime.UTC).timestamp()) * 1_000_000_000
"""A Wednesday; its week begins on 2026-11-16."""

_numbers: Iterator[int] = count(1)


def record(*, at_ns: int = NOON_NS, exchange_id: bytes | None = None, **changes: Any) -> Record:
    """An exchange with metadata alone, unless `content` is given."""
    exchange_id = exchange_id or new_id(at_ns)
    made = Record(
        id=exchange_id,
        project="default",
        boot="0badcafe",
        slot=0,
        accept_number=next(_numbers),
        started_at=utc_from_ns(id_milliseconds(exchange_id) * 1_000_000),
        duration_us=1_500_000,
        ttft_us=300_000,
        method="POST",
        path="/v1/chat/completions",
        query="",
        route="chat.completions",
        upstream="v1",
        authority="https://api.openai.com",
        http_version="1.1",
        outcome="completed",
        capture_status="complete",
        log_mode="full",
        stream=True,
        request_bytes=0,
        response_bytes=0,
        request_complete=True,
        status=200,
        model="gpt-4o",
        key="00112233aabbccdd",
        usage=Usage('{"prompt_tokens": 7}', "reported", 7, 2, None, 11, 3, 18),
        tags={"team": "blue"},
    )
    return dataclasses.replace(made, **changes)


def talk(request: bytes, response: bytes, **changes: Any) -> Record:
    """An exchange with these bodies, and all that goes with them."""
    of_bodies = {
        "request_bytes": len(request),
        "response_bytes": len(response),
        "request_sha256": hashlib.sha256(request).digest(),
        "response_sha256": hashlib.sha256(response).digest(),
        "request_content_type": "application/json",
        "response_content_type": "text/event-stream",
        "content": content(request, response),
    }
    return record(**{**of_bodies, **changes})


def content(request: bytes, response: bytes) -> Content:
    """What is kept of bodies."""
    return Content(
        request_headers=[(b"Content-Type", b"application/json"), (b"X-A", b"\xff\x00"), (b"x-a", b"2")],
        response_headers=[(b"content-type", b"text/event-stream")],
        trailers=[],
        request_body=HeldBody(request),
        response_body=HeldBody(response),
        chunk_times=[ChunkTime(300_000, 10), ChunkTime(300_450, 20), ChunkTime(1_400_000, len(response))],
        request_preview="Hello",
        response_preview="你好",
        facts='{"request": {"temperature": 1}}',
    )
