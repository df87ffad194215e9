"""Shorthand of the tests of endpoints beside chat: one call, JSON or a form or bytes, and what it decodes to."""

from __future__ import annotations

import json
from typing import Any

from app.decode import Decoded, Request, Response, decode_exchange

FORM = "multipart/form-data; boundary=XyZ"


def form(*parts: tuple[str, str | tuple[str, str, bytes]]) -> bytes:
    """A form: texts, and files as (name, media type, bytes)."""
    body = b""
    for name, value in parts:
        body += b"--XyZ\r\nContent-Disposition: form-data; " + f'name="{name}"'.encode()
        if isinstance(value, str):
            body += b"\r\n\r\n" + value.encode() + b"\r\n"
        else:
            filename, media_type, data = value
            body += (
                f'; filename="{filename}"\r\nContent-Type: {media_type}'.encode()
                + b"\r\n\r\n"
                + data
                + b"\r\n"
            )
    return body + b"--XyZ--\r\n"


def sse(*events: object) -> bytes:
    """Events as an SSE body."""
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def named_sse(*events: tuple[str, object]) -> bytes:
    """Events with their `event:` lines; data that is a text is sent as it is."""
    return b"".join(
        f"event: {name}\ndata: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
        for name, data in events
    )


def call(
    path: str,
    asked: Any = None,
    told: Any = None,
    *,
    method: str = "POST",
    status: int = 200,
    kind: str | None = None,
    complete: bool = True,
) -> Decoded:
    """What a call comes to: values are JSON, bytes are a form when asked and of the `kind` when told."""
    is_form = isinstance(asked, bytes)
    body = asked if is_form else b"" if asked is None else json.dumps(asked).encode()
    answer = told if isinstance(told, bytes) else b"" if told is None else json.dumps(told).encode()
    return decode_exchange(
        Request(
            method, f"/v1/{path}".encode(), content_type=FORM if is_form else "application/json", body=body
        ),
        Response(status, kind or "application/json", None, answer, complete),
    )


def said(decoded: Decoded) -> list[tuple[str, str, str | None]]:
    """Direction, role and text of every message."""
    return [(message.direction, message.role, message.text) for message in decoded.messages]
