"""What the pool makes of answers, whole, byte by byte and split at every point, from a real socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from app.proxy.pool import UpstreamPool
from app.proxy.upstream import FailureKind, Headers
from tests.fakes.handler import KeepingHandler, eventually
from tests.fakes.upstream import Connection, ScriptedUpstream

OK = b"HTTP/1.1 200 OK\r\n"
SPLICED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@dataclass(frozen=True)
class Answer:
    """Bytes of an upstream and what they mean; `end` is what the upstream does after them."""

    raw: bytes
    status: int = 200
    reason: bytes = b"OK"
    body: bytes = b""
    headers: Headers | None = None
    trailers: Headers = field(default_factory=list)
    informational: list[int] = field(default_factory=list)
    method: bytes = b"GET"
    end: str = "keep"
    is_reused: bool = True


ANSWERS = {
    "length": Answer(OK + b"Content-Length: 2\r\n\r\nhi", body=b"hi"),
    "no body": Answer(OK + b"content-length: 0\r\n\r\n"),
    "body like a head": Answer(OK + b"Content-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n", body=b"\r\n" * 4),
    "empty fields": Answer(
        OK + b"X-A:\r\nX-B: \r\nX-C: c\r\nX-C: d\r\nContent-Length: 0\r\nX-E:\r\n\r\n",
        headers=[
            (b"X-A", b""),
            (b"X-B", b""),
            (b"X-C", b"c"),
            (b"X-C", b"d"),
            (b"Content-Length", b"0"),
            (b"X-E", b""),
        ],
    ),
    "odd reason": Answer(b"HTTP/1.1 299 \xff\xfe \tx\r\nContent-Length: 0\r\n\r\n", 299, b"\xff\xfe \tx"),
    "no reason": Answer(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", reason=b""),
    "chunked": Answer(
        OK + b"Transfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n", body=b"abc"
    ),
    "trailers": Answer(
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT:\r\nU: 1\r\n\r\n",
        body=b"a",
        trailers=[(b"T", b""), (b"U", b"1")],
    ),
    "204": Answer(b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", 204, b"No Content"),
    "304": Answer(b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, b"Not Modified"),
    "HEAD with length": Answer(OK + b"Content-Length: 99\r\n\r\n", method=b"HEAD"),
    "HEAD chunked": Answer(OK + b"Transfer-Encoding: chunked\r\n\r\n", method=b"HEAD"),
    "HEAD without length": Answer(OK + b"\r\n", method=b"HEAD", is_reused=False),
    "1.0": Answer(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", body=b"a", is_reused=False),
    "1.0 kept": Answer(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", body=b"a"),
    "close": Answer(OK + b"Connection: close\r\nContent-Length: 1\r\n\r\na", body=b"a", is_reused=False),
    "until the end": Answer(OK + b"\r\nabc", body=b"abc", end="close", is_reused=False),
    "empty until the end": Answer(OK + b"\r\n", end="close", is_reused=False),
    "informational": Answer(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\n\r\n"
        + OK
        + b"Content-Length: 1\r\n\r\na",
        body=b"a",
        informational=[100, 103],
    ),
    "surplus after a length": Answer(
        OK + b"Content-Length: 1\r\n\r\na" + SPLICED, body=b"a", is_reused=False
    ),
    "surplus empty line": Answer(OK + b"Content-Length: 2\r\n\r\n\r\n\r\n", body=b"\r\n", is_reused=False),
    "surplus after chunks": Answer(
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + SPLICED, body=b"a", is_reused=False
    ),
    "garbage after chunks": Answer(
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n\x00", body=b"a", is_reused=False
    ),
    "surplus after 204": Answer(b"HTTP/1.1 204 N\r\n\r\nabc", 204, b"N", is_reused=False),
    "body after HEAD": Answer(OK + b"Content-Length: 2\r\n\r\nhi", method=b"HEAD", is_reused=False),
}

MALFORMED = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another protocol": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an empty line first": b"\r\n" + OK,
    "a version of its own": b"HTTP/2.0 200 OK\r\n\r\n",
    "an old version": b"HTTP/0.9 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a folded field": OK + b"X: a\r\n b\r\n\r\n",
    "space before the colon": OK + b"X : a\r\n\r\n",
    "no colon": OK + b"abc\r\n\r\n",
    "NUL in a value": OK + b"X: a\0b\r\n\r\n",
    "length and chunked": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    "two lengths": OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "a list of lengths": OK + b"Content-Length: 3, 3\r\n\r\n",
    "a negative length": OK + b"Content-Length: -3\r\n\r\n",
    "a signed length": OK + b"Content-Length: +3\r\n\r\n",
    "a huge length": OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "gzip as transfer": OK + b"Transfer-Encoding: gzip\r\n\r\n",
    "gzip and chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "101 with upgrade": b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "a chunk size of letters": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk longer than it says": OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    "a huge chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "a chunk with bare line feeds": OK + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
}

CUT = {
    "before the first byte": b"",
    "within the head": OK + b"Content-Le",
    "before a length is reached": OK + b"Content-Length: 9\r\n\r\nabc",
    "within a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "before the last chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    "within the trailers": OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: 1\r\n",
    "after a 1xx": b"HTTP/1.1 103 Early\r\n\r\n",
}


def every_way(raw: bytes) -> list[list[bytes]]:
    """The same bytes whole, one by one, and split at each point."""
    ways = [[raw], [raw[at : at + 1] for at in range(len(raw))]]
    return ways + [[raw[:at], raw[at:]] for at in range(1, len(raw))]


async def ask_every_way(
    raw: bytes, *, method: bytes = b"GET", end: str = "keep"
) -> tuple[list[KeepingHandler], UpstreamPool, int]:
    """One request for each way: what the handlers were told, the pool, and how many connections it took."""
    ways = every_way(raw)

    async def script(connection: Connection) -> None:
        while (request := await connection.read_request()) is not None:
            await connection.send(*ways[int(request.target[1:])])
            if end == "reset":
                for _ in range(3):
                    await asyncio.sleep(0)
                connection.reset()
            if end != "keep":
                return

    handlers = []
    pool = UpstreamPool(tls=None)
    async with ScriptedUpstream(script) as upstream:
        for number in range(len(ways)):
            handlers.append(KeepingHandler())
            head = method + b" /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number
            call = pool.start(upstream.address(), method, head, chunked=False, handler=handlers[-1])
            call.finish([])
            async with asyncio.timeout(10):
                await handlers[-1].ended.wait()
            # What is left of a split answer arrives, so that nothing is left for the next request.
            for _ in range(4):
                await asyncio.sleep(0)
        await pool.aclose()
        assert (pool.open, pool.idle) == (0, 0)
        return handlers, pool, len(upstream.connections)


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_means_the_same_however_it_is_cut(name: str) -> None:
    answer = ANSWERS[name]
    handlers, pool, connections = await ask_every_way(answer.raw, method=answer.method, end=answer.end)
    for handler in handlers:
        assert handler.failure is None
        assert handler.head is not None
        assert (handler.head.status, handler.head.status_line.reason) == (answer.status, answer.reason)
        assert handler.body == answer.body
        assert handler.trailers == answer.trailers
        assert [each[0] for each in handler.informational] == answer.informational
        if answer.headers is not None:
            assert handler.head.headers == answer.headers
    assert connections == (1 if answer.is_reused else len(handlers))
    assert pool.reused == (len(handlers) - 1 if answer.is_reused else pool.retries)


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_proper_answer_is_malformed_however_it_is_cut(name: str) -> None:
    handlers, _, connections = await ask_every_way(MALFORMED[name])
    for handler in handlers:
        assert handler.failure is not None
        assert handler.failure.kind is FailureKind.MALFORMED
        assert handler.failure.detail.startswith("127.0.0.1:")
        assert handler.events[-2:] == ["failed", "flush"]
    assert connections == len(handlers)


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_an_answer_that_is_cut_off_failed(name: str, end: str) -> None:
    handlers, pool, connections = await ask_every_way(CUT[name], end=end)
    for handler in handlers:
        assert handler.failure is not None
        assert handler.failure.kind is (FailureKind.CLOSED if end == "close" else FailureKind.RESET)
        assert handler.trailers is None
    assert connections == len(handlers)
    assert pool.retries == 0


async def test_a_body_until_the_end_that_is_reset_failed() -> None:
    handlers, _, _ = await ask_every_way(OK + b"\r\nabc", end="reset")
    assert {handler.failure.kind for handler in handlers if handler.failure} == {FailureKind.RESET}
    assert all(handler.failure for handler in handlers)


def flood(kind: str) -> list[bytes]:
    """An answer without end."""
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    return {
        "fields": [OK, b"X: a\r\n" * 1001, b"Content-Length: 0\r\n\r\n"],
        "one long field": [OK + b"X: "] + [b"a" * 10_000] * 30,
        "many long fields": [OK] + [b"X: " + b"a" * 10_000 + b"\r\n"] * 30,
        "informational heads": [b"HTTP/1.1 103 E\r\nX: " + b"a" * 10_000 + b"\r\n\r\n"] * 30,
        "trailers": [chunked + b"0\r\n"] + [b"X: " + b"a" * 10_000 + b"\r\n"] * 30,
        "many trailers": [chunked + b"0\r\n" + b"X: a\r\n" * 1001] + [b"X: a\r\n"],
        "chunk extensions": [chunked + b"1;"] + [b"a" * 10_000] * 30,
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "fields",
        "one long field",
        "many long fields",
        "informational heads",
        "trailers",
        "many trailers",
        "chunk extensions",
    ],
)
async def test_heads_and_trailers_have_limits(kind: str) -> None:
    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(*flood(kind))
        await connection.stall()

    handler = KeepingHandler()
    pool = UpstreamPool(tls=None)
    async with ScriptedUpstream(script) as upstream:
        pool.start(
            upstream.address(), b"GET", b"GET / HTTP/1.1\r\n\r\n", chunked=False, handler=handler
        ).finish([])
        await eventually(handler.ended.is_set)
        await pool.aclose()
    assert handler.failure is not None
    assert handler.failure.kind is FailureKind.MALFORMED


async def test_one_read_is_one_piece_and_one_flush() -> None:
    answer = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"3\r\nabc\r\n" * 100 + b"0\r\n\r\n"

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(b"HTTP/1.1 103 E\r\n\r\n" + answer)

    handler = KeepingHandler()
    pool = UpstreamPool(tls=None)
    async with ScriptedUpstream(script) as upstream:
        pool.start(
            upstream.address(), b"GET", b"GET / HTTP/1.1\r\n\r\n", chunked=False, handler=handler
        ).finish([])
        await eventually(handler.ended.is_set)
        await pool.aclose()
    assert handler.events == ["sent", "informational", "head", "data", "complete", "flush"]
    assert handler.pieces == [b"abc" * 100]


async def test_pieces_of_different_reads_are_told_apart_and_at_once() -> None:
    told = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(OK + b"Content-Length: 4\r\n\r\nab")
        await told.wait()
        await connection.send(b"cd")

    handler = KeepingHandler(lambda event: told.set() if event == "flush" else None)
    pool = UpstreamPool(tls=None)
    async with ScriptedUpstream(script) as upstream:
        pool.start(
            upstream.address(), b"GET", b"GET / HTTP/1.1\r\n\r\n", chunked=False, handler=handler
        ).finish([])
        await eventually(handler.ended.is_set)
        await pool.aclose()
    assert handler.pieces == [b"ab", b"cd"]
    assert handler.events == ["sent", "head", "data", "flush", "data", "complete", "flush"]
