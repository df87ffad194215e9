"""What is sent and answered: one chat completion of usual size, whole or as 100 SSE events. Pure."""

from __future__ import annotations

import json

PATH = "/v1/chat/completions"
PACED, BURST, LARGE, TLS = "paced", "burst", "large", "tls"
"""Names of upstreams, each reached under `/NAME` and PATH: paced streams, streams in one write, requests of any size,
and whole answers over TLS."""
EVENTS = 100
COUNTER_DIGITS = 12
_COUNTER = "0" * COUNTER_DIGITS
REQUEST_BODY_BYTES = 1870
ANSWER_BODY_BYTES = 1170
EVENT_BYTES = 295
_WORDS = "The ledger says what was asked, what was answered, when each piece arrived and how it all ended. "


def request_parts(
    host: str, *, stream: bool, upstream: str = "", body_bytes: int = REQUEST_BODY_BYTES
) -> tuple[bytes, bytes]:
    """A whole request (13 header fields), cut where a counter of 12 digits makes it unique."""
    path = f"/{upstream}{PATH}" if upstream else PATH
    before, after = _request_body(stream, body_bytes).split(_COUNTER)
    length = len(before) + COUNTER_DIGITS + len(after)
    fields = [
        f"Host: {host}",
        "Authorization: Bearer sk-proj-0123456789abcdefghijklmnopqrstuvwxyz",
        "Accept: application/json",
        "Accept-Encoding: identity",
        "Content-Type: application/json",
        "User-Agent: OpenAI/Python 3.54.0",
        "X-Stainless-Lang: python",
        "X-Stainless-Package-Version: 3.54.0",
        "X-Stainless-OS: Linux",
        "X-Stainless-Arch: x64",
        "X-Stainless-Runtime: CPython",
        "X-Stainless-Retry-Count: 0",
        f"Content-Length: {length}",
    ]
    head = f"POST {path} HTTP/1.1\r\n" + "\r\n".join(fields) + "\r\n\r\n"
    return (head + before).encode(), after.encode()


def numbered(parts: tuple[bytes, bytes], number: int) -> bytes:
    """The request with a number in the counter's place."""
    return parts[0] + f"{number:0{COUNTER_DIGITS}d}".encode() + parts[1]


def _request_body(stream: bool, body_bytes: int) -> str:
    body: dict[str, object] = {
        "model": "gpt-5-mini",
        "messages": [
            {"role": "system", "content": "You are a careful bookkeeper. Answer in one paragraph."},
            {"role": "user", "content": f"Question {_COUNTER}: "},
        ],
        "temperature": 0.2,
        "max_completion_tokens": 256,
        "user": "bench",
        "stream": stream,
    }
    text = json.dumps(body)
    length = body_bytes - len(text)
    filler = (_WORDS * (length // len(_WORDS) + 1))[:length]
    return text.replace(f"{_COUNTER}: ", f"{_COUNTER}: {filler}")


def answer_body() -> bytes:
    """The JSON answer, 1.17 KB, in ASCII without `'` and `$`, so that nginx can return it from its configuration."""
    body = {
        "id": "chatcmpl-0123456789abcdefghijklmnop",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-5-mini-2025-08-07",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "@", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 412,
            "completion_tokens": 128,
            "total_tokens": 540,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    }
    text = json.dumps(body)
    return text.replace("@", (_WORDS * 20)[: ANSWER_BODY_BYTES - len(text) + 1]).encode()


def answer_fields() -> list[tuple[str, str]]:
    """Fields of an answer beside Server, Date, Content-Type, Content-Length (or Transfer-Encoding) and Connection."""
    return [
        ("x-request-id", "req_0123456789abcdef0123456789abcdef"),
        ("openai-organization", "example-organization"),
        ("openai-processing-ms", "812"),
        ("openai-project", "proj_0123456789abcdef"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-remaining-tokens", "1999588"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", "12ms"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ]


def stream_head() -> bytes:
    """Head of a streamed answer, 17 fields."""
    fields = [
        ("Server", "upstream"),
        ("Date", "Sun, 22 Nov 2026 12:00:00 GMT"),
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "keep-alive"),
        *answer_fields(),
    ]
    return ("HTTP/1.1 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode()


def stream_events() -> list[bytes]:
    """The 100 events of a stream, about 295 bytes each; the last is `[DONE]`."""
    events = [_event(index) for index in range(EVENTS - 1)]
    return [*events, b"data: [DONE]\n\n"]


def _event(index: int) -> bytes:
    choice = {
        "index": 0,
        "delta": {"content": f" word-{index:03d}"},
        "logprobs": None,
        "finish_reason": "stop" if index == EVENTS - 2 else None,
    }
    chunk = {
        "id": "chatcmpl-0123456789abcdefghijklmnop",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "gpt-5-mini-2025-08-07",
        "system_fingerprint": "fp_0123456789",
        "choices": [choice],
        "obfuscation": "",
    }
    text = _compact(chunk)
    chunk["obfuscation"] = "x" * (EVENT_BYTES - len(text) - len("data: \n\n"))
    return f"data: {_compact(chunk)}\n\n".encode()


def chunked(data: bytes) -> bytes:
    """One HTTP chunk."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def unchunked(data: bytes) -> bytes | None:
    """The body of a whole chunked answer, head taken off; None where it is not whole."""
    body = data.partition(b"\r\n\r\n")[2]
    pieces: list[bytes] = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size or b"-1", 16)
        if length <= 0 or len(rest) < length + 2:
            return b"".join(pieces) if length == 0 else None
        pieces.append(rest[:length])
        body = rest[length + 2 :]
    return None


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
