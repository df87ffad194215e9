"""Records and messages as the API gives them."""

from __future__ import annotations

from typing import Any

from app.export.values import Exported

ID = "019a0000-0000-7000-8000-000000000001"


def record(**changes: Any) -> dict[str, Any]:
    return {
        "object": "exchange",
        "id": ID,
        "started_at": "2026-11-18T12:00:00.000001Z",
        "project": "default",
        "upstream": "v1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "route": "chat/completions",
        "model": "gpt-4o",
        "model_served": "gpt-4o-2024",
        "status": 200,
        "outcome": "completed",
        "reason": None,
        "stream": True,
        "duration_ms": 1500.25,
        "ttft_ms": 300.0,
        "request_bytes": 10,
        "response_bytes": 20,
        "usage": {"input_tokens": 7, "cached_tokens": None, "output_tokens": 11},
        "cost": "0.000127",
        "cost_status": "priced",
        "user": "alice",
        "key": "00112233aabbccdd",
        "conversation": None,
        "conversation_id": None,
        "tags": {"team": "blue"},
        "capture_status": "decoded",
        "request_preview": "Hello",
        "response_preview": "你好",
        **changes,
    }


def message(role: str, text: str | None, direction: str = "request", **changes: Any) -> dict[str, Any]:
    return {
        "direction": direction,
        "choice": 0 if direction == "response" else None,
        "role": role,
        "name": None,
        "text": text,
        "parts": [] if text is None else [{"type": "text", "text": text}],
        "tool_calls": [],
        "tool_call_id": None,
        "refusal": None,
        "reasoning": None,
        "finish_reason": "stop" if direction == "response" else None,
        **changes,
    }


def answer(text: str | None, **changes: Any) -> dict[str, Any]:
    return message("assistant", text, "response", **changes)


def exported(*messages: dict[str, Any], fields: dict[str, Any] | None = None, **changes: Any) -> Exported:
    return Exported(record(**changes), list(messages), fields or {})


def call(call_id: str | None, name: str = "look", arguments: str | None = "{}") -> dict[str, Any]:
    return {"id": call_id, "name": name, "arguments": arguments}
