"""From what the store gives to what goes over the wire: names, times, units."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from fastapi import Response

from app.exchange import KeptHeaders
from app.store.pages.walking import COUNTED_MOST
from app.store.reading.stored import (
    ConversationPage,
    Page,
    RecorderStatus,
    StoredConversation,
    StoredExchange,
    StoredHeaders,
)
from app.store.search.snippets import Snippet
from app.store.writing.record import ChunkTime

_TOKENS = (
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
)
_LISTED = (
    *("method", "path", "upstream", "model", "model_served", "status", "outcome", "reason", "stream"),
    *("request_bytes", "response_bytes", "finish_reason", "upstream_id", "user", "key", "project"),
    *("conversation", "tags", "request_preview", "response_preview", "capture_status"),
)
_OF_CONVERSATIONS = (
    *("title", "name", "project", "exchanges", "model", "upstream", "user", "key"),
    *("models", "input_tokens", "output_tokens", "unpriced"),
)
_DETAILED = (
    *("query", "route", "authority", "http_version", "detail", "request_complete"),
    *(
        "request_content_type",
        "request_content_encoding",
        "response_content_type",
        "response_content_encoding",
    ),
    *("service_tier", "error_type", "error_code", "usage_source", "price_version", "cost_status", "key_tail"),
    *("retry_count", "log_mode", "boot", "slot", "accept_number"),
)


def answer(content: Mapping[str, Any]) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(content), media_type="application/json")


def exchange(stored: StoredExchange) -> dict[str, Any]:
    """An exchange as lists have it."""
    return {
        "object": "exchange",
        "id": str(stored.id),
        "started_at": time(stored.started_at),
        **{name: getattr(stored, name) for name in _LISTED},
        "conversation_id": _id(stored.conversation_id),
        "parent_id": _id(stored.parent_id),
        "duration_ms": milliseconds(stored.duration_us),
        "ttft_ms": milliseconds(stored.ttft_us),
        "usage": _usage(stored),
        "cost": money(stored.cost),
    }


def page(found: Page) -> dict[str, Any]:
    """A page in OpenAI's envelope of lists."""
    data = [exchange(each) for each in found.exchanges]
    if found.snippets is not None:
        for each, stored in zip(data, found.exchanges, strict=True):
            each["snippets"] = [_snippet(one) for one in found.snippets.get(stored.id, ())]
    return envelope(data, found.has_more, found.resume_after)


def total(count: int | None) -> dict[str, Any]:
    """How many exchanges there are on all pages, as far as they were counted."""
    if count is None:
        return {"total": None, "total_is_capped": None}
    return {"total": min(count, COUNTED_MOST), "total_is_capped": count > COUNTED_MOST}


def detail(
    stored: StoredExchange, headers: StoredHeaders | None, messages: msgspec.Raw | None
) -> dict[str, Any]:
    """All of one exchange but its bodies; no headers and no messages where they are not kept."""
    return {
        **exchange(stored),
        **{name: getattr(stored, name) for name in _DETAILED},
        "request_sha256": _hexadecimal(stored.request_sha256),
        "response_sha256": _hexadecimal(stored.response_sha256),
        "usage_reported": None if stored.usage is None else msgspec.Raw(stored.usage.encode()),
        "joined_by": stored.joined_by,
        "recorded_at": time(stored.recorded_at),
        "recorder_id": str(stored.recorder_id),
        "request_headers": _fields(headers.request) if headers else None,
        "response_headers": _fields(headers.response) if headers else None,
        "trailers": _fields(headers.trailers) if headers else None,
        "messages": messages,
    }


def conversation(stored: StoredConversation) -> dict[str, Any]:
    """A conversation as lists have it."""
    return {
        "object": "conversation",
        "id": str(stored.id),
        "last_id": str(stored.last_id),
        "started_at": None if stored.started_at is None else time(stored.started_at),
        "last_at": None if stored.last_at is None else time(stored.last_at),
        **{name: getattr(stored, name) for name in _OF_CONVERSATIONS},
        "cost": money(stored.cost),
    }


def conversations(found: ConversationPage) -> dict[str, Any]:
    """A page of conversations in OpenAI's envelope of lists."""
    return envelope([conversation(each) for each in found.conversations], found.has_more, found.resume_after)


def envelope(data: list[dict[str, Any]], has_more: bool, resume_after: uuid.UUID | None) -> dict[str, Any]:
    """OpenAI's envelope of lists; where looking took too long, `last_id` is how far it came."""
    last_id = data[-1]["id"] if data else None
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": last_id if resume_after is None else str(resume_after),
        "has_more": has_more,
        "incomplete": resume_after is not None,
    }


def chunks(times: list[ChunkTime]) -> dict[str, Any]:
    """When each piece of the answer arrived."""
    data = [{"offset_ms": milliseconds(each.offset_us), "size_bytes": each.size_bytes} for each in times]
    return {"object": "list", "data": data, "has_more": False}


def recorder(status: RecorderStatus) -> dict[str, Any]:
    """What a recorder last said of itself."""
    return {
        "id": str(status.id),
        "host": status.host,
        "version": status.version,
        "started_at": time(status.started_at),
        "last_seen": time(status.last_seen),
        "silent_seconds": status.silent_seconds,
        "lag_seconds": status.lag_seconds,
        "journal_bytes": status.journal_bytes,
    }


def time(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return moment.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def milliseconds(microseconds: int | None) -> float | None:
    """Milliseconds of a time in microseconds."""
    return None if microseconds is None else microseconds / 1000


def money(dollars: Decimal | None) -> str | None:
    """US dollars as a decimal string, never with an exponent."""
    return None if dollars is None else f"{dollars:f}"


def _snippet(snippet: Snippet) -> dict[str, Any]:
    return {
        "message": snippet.message,
        "text": snippet.text,
        "highlights": snippet.highlights,
        "begins": snippet.begins,
        "ends": snippet.ends,
    }


def _usage(stored: StoredExchange) -> dict[str, int | None] | None:
    counts = {name: getattr(stored, name) for name in _TOKENS}
    return counts if any(count is not None for count in counts.values()) else None


def _hexadecimal(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()


def _fields(fields: KeptHeaders | None) -> list[list[str]] | None:
    """Header fields byte for byte: each character is one byte of what was on the wire (Latin-1)."""
    if fields is None:
        return None
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]


def _id(value: uuid.UUID | None) -> str | None:
    return None if value is None else str(value)
