"""Answers of our own, in OpenAI's error envelope."""

from __future__ import annotations

import json

from app.exchange import Outcome
from app.proxy.answer_heads import head_of
from app.proxy.headers import MAX_HEAD_BYTES, Refusal
from app.proxy.upstream import FailureKind, ResponseHead, StatusLine

_REASONS = {
    400: b"Bad Request",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}

MALFORMED = Refusal(400, "malformed_request", "the request is not valid HTTP/1.1")
HEAD_TOO_LARGE = Refusal(
    431, "head_too_large", f"the request head, or its trailer, is larger than {MAX_HEAD_BYTES >> 10} KiB"
)
HEAD_TOO_SLOW = Refusal(408, "head_timeout", "the request head took too long")
CROWDED = Refusal(
    503, "too_many_connections", "too many connections are open here; use fewer, or try again later"
)
BODY_TOO_SLOW = Refusal(408, "body_timeout", "the request body stopped coming")

_OUTCOMES = {
    FailureKind.CONNECT_TIMEOUT: Outcome.UPSTREAM_TIMED_OUT,
    FailureKind.INTERNAL: Outcome.PROXY_FAILED,
}


def outcome_of(failure: FailureKind) -> Outcome:
    """How an exchange ends whose call failed so, unless its client has left."""
    return _OUTCOMES.get(failure, Outcome.UPSTREAM_FAILED)


def error_answer(
    status: int, code: str, message: str, param: str | None = None, *, is_head_request: bool = False
) -> tuple[bytes, ResponseHead]:
    """An answer in OpenAI's error envelope, of type `verbatim_error`: body and head."""
    error = {"message": message, "type": "verbatim_error", "param": param, "code": code}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    status_line = StatusLine(status, _REASONS.get(status, b""), b"1.1")
    head = head_of(status_line, headers, len(body), chunked=False, bodyless=is_head_request)
    return body, head
