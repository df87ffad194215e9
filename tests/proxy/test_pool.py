"""Connections and calls of the pool, against real sockets: reuse, retries, uploads, back-pressure, cancelling."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.proxy.call import MAX_HELD_BYTES, PooledCall
from app.proxy.dial import DialError, dial
from app.proxy.pool import UpstreamPool
from app.proxy.upstream import FailureKind, Upstream
from tests.fakes.handler import KeepingHandler, eventually
from tests.fakes.upstream import Connection, Script, ScriptedUpstream, answering

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class GatedDial:
    """Connects when the gate opens; `started` counts the attempts."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.started = 0

    async def __call__(
        self,
        upstream: Upstream,
        protocol: asyncio.Protocol,
        *,
        tls: ssl.SSLContext | None,
        timeout_seconds: float,
    ) -> None:
        self.started += 1
        await self.gate.wait()
        await dial(upstream, protocol, tls=tls, timeout_seconds=timeout_seconds)


@asynccontextmanager
async def pool_with(script: Script, **settings: Any) -> AsyncIterator[tuple[UpstreamPool, ScriptedUpstream]]:
    """A pool and the upstream it talks to; in the end nothing of the pool is left."""
    pool = UpstreamPool(tls=None, **settings)
    async with ScriptedUpstream(script) as upstream:
        yield pool, upstream
        await pool.aclose()
        assert (pool.open, pool.idle) == (0, 0)


def get(pool: UpstreamPool, upstream: ScriptedUpstream, handler: KeepingHandler) -> PooledCall:
    """A request without a body, finished."""
    call = pool.start(upstream.address(), b"GET", GET, chunked=False, handler=handler)
    call.finish([])
    return call


async def get_hi(pool: UpstreamPool, upstream: ScriptedUpstream) -> None:
    """A whole exchange."""
    handler = KeepingHandler()
    get(pool, upstream, handler)
    await eventually(handler.ended.is_set)
    assert handler.body == b"hi", handler.failure


def post_head(length: int | None) -> bytes:
    framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    return b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n"


async def read_until_end(connection: Connection) -> bytes:
    data = b""
    while more := await connection.read_some():
        data += more
    return data


# Request bodies.


async def test_each_piece_of_a_chunked_body_is_one_chunk() -> None:
    async with pool_with(answering(HI)) as (pool, upstream):
        for _ in range(2):  # on a fresh connection, then on a reused one
            handler = KeepingHandler()
            call = pool.start(upstream.address(), b"POST", post_head(None), chunked=True, handler=handler)
            for piece in (b"ab", b"", b"c" * 20):
                call.send(piece)
            call.finish([(b"T", b"1"), (b"U", b"")])
            call.finish([])
            call.send(b"too late")
            await eventually(handler.ended.is_set)
            request = upstream.requests[-1]
            assert request.chunks == [b"ab", b"c" * 20]
            assert request.trailers == [(b"T", b"1"), (b"U", b"")]
            assert request.raw.startswith(post_head(None) + b"2\r\nab\r\n14\r\n")
        assert (pool.opened, pool.reused) == (1, 1)


async def test_a_body_of_known_length_goes_raw() -> None:
    async with pool_with(answering(HI)) as (pool, upstream):
        handler = KeepingHandler()
        call = pool.start(upstream.address(), b"POST", post_head(5), chunked=False, handler=handler)
        call.send(b"ab")
        call.send(b"cde")
        call.finish([])
        await eventually(handler.ended.is_set)
        assert upstream.requests[0].raw == post_head(5) + b"abcde"
        assert handler.events == ["sent", "head", "data", "complete", "flush"]


async def test_an_answer_before_the_request_is_whole_stands_and_ends_the_connection() -> None:
    ends: list[str] = []

    async def script(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(HI)
        ends.append(await connection.read_to_end())

    async with pool_with(script) as (pool, upstream):
        handler = KeepingHandler()
        call = pool.start(upstream.address(), b"POST", post_head(None), chunked=True, handler=handler)
        call.send(b"ab")
        await eventually(handler.ended.is_set)
        assert handler.body == b"hi"
        call.send(b"more")
        call.finish([])
        await eventually(lambda: bool(ends) and pool.open == 0)
        assert pool.idle == 0
        assert handler.events[-1] == "flush"


async def test_an_upstream_that_does_not_read_stops_the_upload() -> None:
    reads = asyncio.Event()
    size = 8 << 20

    async def script(connection: Connection) -> None:
        request = await connection.read_head()
        assert request is not None
        await reads.wait()
        await connection.read_body(request)
        await connection.send(HI)

    async with pool_with(script) as (pool, upstream):
        handler = KeepingHandler()
        call = pool.start(upstream.address(), b"POST", post_head(size), chunked=False, handler=handler)
        await eventually(lambda: "sent" in handler.events)
        sent = 0
        while sent < size and "upload_paused" not in handler.events:
            call.send(b"x" * 65536)
            sent += 65536
            await asyncio.sleep(0)
        assert sent < size
        reads.set()
        await eventually(lambda: "upload_resumed" in handler.events)
        call.send(b"x" * (size - sent))
        call.finish([])
        await eventually(handler.ended.is_set)
        assert upstream.requests[0].body == b"x" * size
        assert handler.body == b"hi"


async def test_what_is_sent_while_connecting_waits_within_a_bound() -> None:
    gated = GatedDial()
    async with pool_with(answering(HI), dial=gated) as (pool, upstream):
        handler = KeepingHandler()
        body = os.urandom(MAX_HELD_BYTES)
        call = pool.start(upstream.address(), b"POST", post_head(len(body)), chunked=False, handler=handler)
        call.send(body[:10])
        assert handler.events == []
        call.send(body[10:])
        call.finish([])
        assert handler.events == ["upload_paused"]
        gated.gate.set()
        await eventually(handler.ended.is_set)
        assert upstream.requests[0].body == body
        assert handler.events[:3] == ["upload_paused", "sent", "upload_resumed"]


# Reuse.


async def test_the_connection_used_last_is_used_next() -> None:
    async with pool_with(answering(HI)) as (pool, upstream):
        handlers = [KeepingHandler() for _ in range(3)]
        for handler in handlers:
            get(pool, upstream, handler)
        for handler in handlers:
            await eventually(handler.ended.is_set)
        assert (pool.opened, pool.idle) == (3, 3)
        for _ in range(5):
            await get_hi(pool, upstream)
        assert (pool.opened, pool.reused, pool.idle) == (3, 5, 3)


async def test_an_idle_connection_is_written_to_at_once() -> None:
    async with pool_with(answering(HI)) as (pool, upstream):
        await get_hi(pool, upstream)
        handler = KeepingHandler()
        get(pool, upstream, handler)
        assert handler.events == ["sent"]
        await eventually(handler.ended.is_set)


async def test_head_and_body_on_an_idle_connection_go_out_together() -> None:
    reads: list[bytes] = []

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(HI)
        reads.append(await connection.read_some())
        await connection.send(HI)

    async with pool_with(script) as (pool, upstream):
        await get_hi(pool, upstream)
        handler = KeepingHandler()
        call = pool.start(upstream.address(), b"POST", post_head(5), chunked=False, handler=handler)
        call.send(b"ab")
        call.send(b"cde")
        call.finish([])
        await eventually(handler.ended.is_set)
        assert reads == [post_head(5) + b"abcde"]


async def test_a_head_alone_on_an_idle_connection_goes_out_with_a_flush() -> None:
    async with pool_with(answering(HI)) as (pool, upstream):
        await get_hi(pool, upstream)
        handler = KeepingHandler()
        call = pool.start(upstream.address(), b"POST", post_head(2), chunked=False, handler=handler)
        await eventually(lambda: len(upstream.requests) == 2)
        call.send(b"ab")
        call.finish([])
        await eventually(handler.ended.is_set)
        assert upstream.requests[1].body == b"ab"


async def test_a_large_body_on_an_idle_connection_goes_out_whole() -> None:
    body = os.urandom(1 << 20)
    async with pool_with(answering(HI)) as (pool, upstream):
        await get_hi(pool, upstream)
        handler = KeepingHandler()
        call = pool.start(
            upstream.address(), b"POST", post_head(len(body) + 2), chunked=False, handler=handler
        )
        call.send(b"ab")
        call.send(body)
        call.finish([])
        await eventually(handler.ended.is_set)
        assert upstream.requests[1].body == b"ab" + body


async def test_a_call_started_when_another_completes_takes_its_connection() -> None:
    second = KeepingHandler()
    async with pool_with(answering(HI)) as (pool, upstream):
        first = KeepingHandler(lambda event: get(pool, upstream, second) if event == "complete" else None)
        get(pool, upstream, first)
        await eventually(second.ended.is_set)
        assert first.events == second.events == ["sent", "head", "data", "complete", "flush"]
        assert (pool.opened, pool.reused) == (1, 1)


async def test_idle_connections_end_after_keepalive() -> None:
    async with pool_with(answering(HI), keepalive_seconds=0.05) as (pool, upstream):
        for _ in range(2):
            await get_hi(pool, upstream)
            await eventually(lambda: pool.open == 0)
            assert pool.idle == 0
        assert pool.opened == 2


async def test_without_keepalive_no_connection_is_kept() -> None:
    async with pool_with(answering(HI), keepalive_seconds=0.0) as (pool, upstream):
        await get_hi(pool, upstream)
        await get_hi(pool, upstream)
        assert (pool.opened, pool.reused, pool.idle) == (2, 0, 0)


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"\r\n"])
async def test_an_idle_connection_that_ends_or_speaks_is_dropped(last_words: bytes) -> None:
    speaks = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(HI)
        if connection.number == 0:
            await speaks.wait()
            await connection.send(last_words)
            if last_words:
                await connection.stall()

    async with pool_with(script) as (pool, upstream):
        await get_hi(pool, upstream)
        assert pool.idle == 1
        speaks.set()
        await eventually(lambda: pool.open == 0)
        assert pool.idle == 0
        await get_hi(pool, upstream)
        assert (pool.opened, pool.reused, pool.retries) == (2, 0, 0)


# Retries.


def dies_on_second_request(how: str, after: bytes = b"") -> Script:
    """The first connection answers once and ends at the next head; later ones answer."""

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(HI)
        if connection.number > 0:
            return
        await connection.read_head()
        if after:
            await connection.send(after)
            for _ in range(3):
                await asyncio.sleep(0)
        if how == "reset":
            connection.reset()

    return script


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_reused_connection_that_ends_unanswered_is_retried_once(how: str, is_chunked: bool) -> None:
    async with pool_with(dies_on_second_request(how)) as (pool, upstream):
        await get_hi(pool, upstream)
        handler = KeepingHandler()
        head = post_head(None if is_chunked else 5)
        call = pool.start(upstream.address(), b"POST", head, chunked=is_chunked, handler=handler)
        call.send(b"ab")
        call.send(b"cde")
        call.finish([])
        await eventually(handler.ended.is_set)
        assert handler.events == ["sent", "retry", "sent", "head", "data", "complete", "flush"]
        assert upstream.requests[-1].body == b"abcde"
        assert (pool.retries, pool.opened, pool.reused) == (1, 2, 1)
        assert "127.0.0.1" in handler.retries[0]


async def test_an_upload_under_way_goes_on_after_a_retry() -> None:
    async with pool_with(dies_on_second_request("close")) as (pool, upstream):
        await get_hi(pool, upstream)

        def send_more(event: str) -> None:
            if event == "retry":
                call.send(b"cd")  # while the retry connects

        handler = KeepingHandler(send_more)
        call = pool.start(upstream.address(), b"POST", post_head(6), chunked=False, handler=handler)
        call.send(b"ab")
        await eventually(lambda: handler.events.count("sent") == 2)
        call.send(b"ef")
        call.finish([])
        await eventually(handler.ended.is_set)
        assert upstream.requests[-1].raw == post_head(6) + b"abcdef"


async def test_a_connection_that_ends_before_the_first_flush_loses_nothing() -> None:
    async with pool_with(dies_on_second_request("close")) as (pool, upstream):
        await get_hi(pool, upstream)
        upstream.connections[0].close()
        handler = KeepingHandler()
        call = pool.start(upstream.address(), b"POST", post_head(4), chunked=False, handler=handler)
        call.send(b"ab")
        await eventually(lambda: handler.events.count("sent") == 2)
        call.send(b"cd")
        call.finish([])
        await eventually(handler.ended.is_set)
        assert upstream.requests[-1].raw == post_head(4) + b"abcd"


async def test_a_large_upload_is_not_held_and_not_retried() -> None:
    async with pool_with(dies_on_second_request("close")) as (pool, upstream):
        await get_hi(pool, upstream)
        handler = KeepingHandler()
        size = MAX_HELD_BYTES + 1
        call = pool.start(upstream.address(), b"POST", post_head(size), chunked=False, handler=handler)
        call.send(b"x" * size)
        call.finish([])
        await eventually(handler.ended.is_set)
        assert handler.failure is not None
        assert handler.failure.kind in (FailureKind.CLOSED, FailureKind.RESET)
        assert (pool.retries, pool.opened) == (0, 1)


async def test_what_ends_after_a_byte_of_an_answer_is_not_retried() -> None:
    async with pool_with(dies_on_second_request("close", after=b"H")) as (pool, upstream):
        await get_hi(pool, upstream)
        handler = KeepingHandler()
        get(pool, upstream, handler)
        await eventually(handler.ended.is_set)
        assert handler.events == ["sent", "flush", "failed", "flush"]
        assert pool.retries == 0


async def test_a_retry_is_not_tried_again() -> None:
    async def script(connection: Connection) -> None:
        await connection.read_request()
        if connection.number == 0:
            await connection.send(HI)
            await connection.read_request()

    async with pool_with(script) as (pool, upstream):
        await get_hi(pool, upstream)
        handler = KeepingHandler()
        get(pool, upstream, handler)
        await eventually(handler.ended.is_set)
        assert handler.events == ["sent", "retry", "sent", "failed", "flush"]
        assert handler.failure is not None
        assert handler.failure.kind is FailureKind.CLOSED
        assert (pool.retries, pool.opened) == (1, 2)


async def test_a_fresh_connection_is_never_retried() -> None:
    async def script(connection: Connection) -> None:
        await connection.read_request()

    async with pool_with(script) as (pool, upstream):
        handler = KeepingHandler()
        get(pool, upstream, handler)
        await eventually(handler.ended.is_set)
        assert handler.events == ["sent", "failed", "flush"]
        assert (len(upstream.connections), pool.retries) == (1, 0)


# The client is slow.


async def test_reading_pauses_and_resumes() -> None:
    body = os.urandom(4 << 20)

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        await connection.send(body)
        await connection.read_request()

    async with pool_with(script) as (pool, upstream):
        handler = KeepingHandler(lambda event: call.pause_reading() if event == "data" else None)
        call = get(pool, upstream, handler)
        while not handler.ended.is_set():
            pieces = len(handler.pieces)
            await asyncio.sleep(0.005)
            assert len(handler.pieces) - pieces <= 1
            call.resume_reading()
            await asyncio.sleep(0)
        assert handler.body == body
        # Paused when it completed, and yet its end is seen.
        upstream.connections[0].close()
        await eventually(lambda: pool.open == 0)


async def test_a_pause_before_the_connection_stands_holds() -> None:
    async with pool_with(answering(HI)) as (pool, upstream):
        handler = KeepingHandler()
        call = get(pool, upstream, handler)
        call.pause_reading()
        await eventually(lambda: bool(upstream.requests))
        await asyncio.sleep(0.05)
        assert handler.events == ["sent"]
        call.resume_reading()
        await eventually(handler.ended.is_set)
        assert handler.body == b"hi"


async def test_a_pause_holds_across_a_retry() -> None:
    async with pool_with(dies_on_second_request("close")) as (pool, upstream):
        await get_hi(pool, upstream)
        handler = KeepingHandler(lambda event: call.pause_reading() if event == "retry" else None)
        call = get(pool, upstream, handler)
        await eventually(lambda: len(upstream.requests) == 3)
        await asyncio.sleep(0.05)
        assert handler.events == ["sent", "retry", "sent"]
        call.resume_reading()
        await eventually(handler.ended.is_set)


# Cancelling and closing.


async def test_calls_cancelled_while_they_connect_leave_nothing_behind() -> None:
    async with pool_with(answering(HI)) as (pool, upstream):
        files = len(os.listdir("/proc/self/fd"))
        for number in range(200):
            handler = KeepingHandler()
            call = pool.start(upstream.address(), b"POST", post_head(3), chunked=False, handler=handler)
            call.send(b"abc")
            for _ in range(number % 12):
                await asyncio.sleep(0)
            told = len(handler.events)
            call.cancel()
            call.cancel()
            call.send(b"x")
            call.finish([])
            call.pause_reading()
            call.resume_reading()
            await asyncio.sleep(0)
            assert len(handler.events) == told
        await eventually(lambda: pool.open == pool.idle)
        for _ in range(20):
            await get_hi(pool, upstream)
        await pool.aclose()
        await eventually(lambda: len(os.listdir("/proc/self/fd")) <= files)


async def test_a_cancelled_attempt_tells_nothing_and_sends_nothing() -> None:
    gated = GatedDial()
    async with pool_with(answering(HI), dial=gated) as (pool, upstream):
        handler = KeepingHandler()
        call = get(pool, upstream, handler)
        await eventually(lambda: gated.started == 1)
        call.cancel()
        gated.gate.set()
        await get_hi(pool, upstream)
        assert handler.events == []
        assert len(upstream.requests) == 1


async def test_cancelling_an_answer_closes_the_connection_at_once() -> None:
    ends: list[str] = []

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        ends.append(await connection.read_to_end())

    async with pool_with(script) as (pool, upstream):
        handler = KeepingHandler(lambda event: call.cancel() if event == "head" else None)
        call = get(pool, upstream, handler)
        await eventually(lambda: bool(ends) and pool.open == 0)
        assert handler.events == ["sent", "head"]


async def test_closing_the_pool_fails_what_is_under_way() -> None:
    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.stall()

    gated = GatedDial()
    async with pool_with(script, dial=gated) as (pool, upstream):
        sent, connecting, late = KeepingHandler(), KeepingHandler(), KeepingHandler()
        gated.gate.set()
        get(pool, upstream, sent)
        await eventually(lambda: bool(upstream.requests))
        gated.gate.clear()
        get(pool, upstream, connecting)
        await eventually(lambda: gated.started == 2)
        await pool.aclose()
        get(pool, upstream, late)
        await eventually(late.ended.is_set)
        for handler in (sent, connecting, late):
            assert handler.failure is not None
            assert handler.failure.kind is FailureKind.CLOSED
        assert pool.open == 0


async def test_a_call_cancelled_when_its_connection_stands_harms_no_other() -> None:
    def start_and_cancel() -> KeepingHandler:
        handler = KeepingHandler(lambda event: call.cancel())
        call = get(pool, upstream, handler)
        return handler

    async with pool_with(answering(HI), keepalive_seconds=0.0) as (pool, upstream):
        for _ in range(10):
            cancelled = start_and_cancel()
            other = KeepingHandler()
            get(pool, upstream, other)
            await eventually(other.ended.is_set)
            assert other.body == b"hi", other.failure
            # The two connect on their own: which stands first is open.
            await eventually(lambda: bool(cancelled.events))  # noqa: B023 - called within this very turn
            assert cancelled.events == ["sent"]
            gc.collect()  # a socket object left over would close its file's number once more


# Faults of our own.


@pytest.mark.parametrize("event", ["sent", "informational", "head", "data", "flush", "complete"])
async def test_a_handler_that_raises_fails_its_call_alone(event: str) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: faults.append(context.get("exception"))
    )

    def act(name: str) -> None:
        if name == event and event in handler.events[:-1]:
            return
        if name == event:
            raise ValueError(event)

    async def script(connection: Connection) -> None:
        while await connection.read_request() is not None:
            await connection.send(b"HTTP/1.1 103 E\r\n\r\n", HI[:-1], HI[-1:])

    async with pool_with(script) as (pool, upstream):
        handler = KeepingHandler(act)
        get(pool, upstream, handler)
        await eventually(
            lambda: bool(faults) and ("failed" in handler.events or "complete" in handler.events)
        )
        if event != "complete":
            assert handler.failure is not None
            assert handler.failure.kind is FailureKind.INTERNAL
            assert handler.events[-2:] == ["failed", "flush"]
            await eventually(lambda: pool.open == 0)
        assert [str(fault) for fault in faults] == [event]
        await get_hi(pool, upstream)


async def test_a_fault_in_connecting_fails_the_call() -> None:
    async def broken(upstream: Upstream, protocol: asyncio.Protocol, **_: Any) -> None:
        raise LookupError("a fault")

    async with pool_with(answering(HI), dial=broken) as (pool, upstream):
        handler = KeepingHandler()
        get(pool, upstream, handler)
        await eventually(handler.ended.is_set)
        assert handler.failure is not None
        assert handler.failure.kind is FailureKind.INTERNAL


async def test_a_failure_to_connect_is_told_as_it_is() -> None:
    async def failing(upstream: Upstream, protocol: asyncio.Protocol, **_: Any) -> None:
        raise DialError(FailureKind.DNS, "no such name")

    async with pool_with(answering(HI), dial=failing) as (pool, upstream):
        handler = KeepingHandler()
        get(pool, upstream, handler)
        await eventually(handler.ended.is_set)
        assert handler.failure is not None
        assert handler.failure.kind is FailureKind.DNS
        assert handler.events == ["failed", "flush"]


async def test_an_upstream_that_speaks_or_leaves_before_it_is_asked_harms_no_other_call() -> None:
    async def script(connection: Connection) -> None:
        if connection.number % 3 == 0:
            connection.reset()
        elif connection.number % 3 == 1 or await connection.read_request() is not None:
            await connection.send(HI)

    async with pool_with(script) as (pool, upstream):
        for _ in range(30):
            handler = KeepingHandler()
            get(pool, upstream, handler)
            await eventually(handler.ended.is_set)
            await eventually(lambda: pool.open == 0)
