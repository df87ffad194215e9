"""The columns of tables (CSV, Parquet) and where their values are in a record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.export.values import Exported

Kind = Literal["text", "time", "int", "float", "money", "bool", "json"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `json` is JSON as text, `money` US dollars as a decimal string."""

    name: str
    kind: Kind = "text"


METADATA: tuple[Column, ...] = (
    Column("id"),
    Column("started_at", "time"),
    *map(Column, ("project", "upstream", "method", "path", "route", "model", "model_served")),
    Column("status", "int"),
    *map(Column, ("outcome", "reason")),
    Column("stream", "bool"),
    Column("duration_ms", "float"),
    Column("ttft_ms", "float"),
    Column("request_bytes", "int"),
    Column("response_bytes", "int"),
    *(
        Column(name, "int")
        for name in (
            *("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"),
            *("total_tokens", "input_audio_tokens", "output_audio_tokens"),
            *("input_image_tokens", "output_image_tokens"),
        )
    ),
    Column("cost", "money"),
    *map(Column, ("cost_status", "finish_reason", "service_tier", "error_type", "error_code")),
    *map(Column, ("user", "key", "conversation", "conversation_id")),
    Column("tags", "json"),
    *map(Column, ("upstream_id", "capture_status", "log_mode", "request_sha256", "response_sha256")),
    Column("request_preview"),
    Column("response_preview"),
)
SAID: tuple[Column, ...] = (Column("question"), Column("answer"), Column("messages", "json"))
"""The last message of the request, the text of the first answer, and everything."""


def columns(*, with_messages: bool) -> tuple[Column, ...]:
    """All columns of a table."""
    return (*METADATA, *SAID) if with_messages else METADATA


def row(exported: Exported, *, with_messages: bool) -> dict[str, Any]:
    """The values of one exchange by column; a value that is not known is not there, or None."""
    usage: Mapping[str, Any] = exported.record.get("usage") or {}
    values = {**exported.record, **usage}
    if tags := exported.record.get("tags"):
        values["tags"] = _json(tags)
    else:
        values["tags"] = None
    if with_messages and exported.messages is not None:
        values["question"] = _last_text(exported.messages, "request")
        values["answer"] = _first_answer(exported.messages)
        values["messages"] = _json(exported.messages)
    return values


def _last_text(messages: list[dict[str, Any]], direction: str) -> str | None:
    texts = [each["text"] for each in messages if each["direction"] == direction and each["text"]]
    return texts[-1] if texts else None


def _first_answer(messages: list[dict[str, Any]]) -> str | None:
    """All text of the first of n answers; an answer may be several messages."""
    texts = [
        each["text"]
        for each in messages
        if each["direction"] == "response" and each["text"] and each["choice"] in (None, 0)
    ]
    return "\n".join(texts) or None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
