"""httpx on the pool, against real sockets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.proxy.dial import make_tls_context
from app.proxy.pool import UpstreamPool
from app.proxy.transport import PoolTransport
from tests.fakes.handler import eventually
from tests.fakes.upstream import Connection, Script, ScriptedUpstream, answering, make_certificates

HI = b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\n\r\nhi"


@asynccontextmanager
async def client_of(
    script: Script,
) -> AsyncIterator[tuple[httpx.AsyncClient, ScriptedUpstream, UpstreamPool]]:
    """An httpx client whose base URL is the scripted upstream."""
    pool = UpstreamPool(tls=None)
    async with ScriptedUpstream(script) as upstream:
        base_url = f"http://127.0.0.1:{upstream.port}/v1"
        async with httpx.AsyncClient(
            transport=PoolTransport(pool), base_url=base_url, timeout=None
        ) as client:
            yield client, upstream, pool
        await pool.aclose()
        assert pool.open == 0


async def test_a_request_goes_out_and_its_answer_comes_back() -> None:
    async with client_of(answering(HI)) as (client, upstream, pool):
        for _ in range(2):
            answer = await client.post("/x?q=%2f", json={"a": 1}, headers={"X-B": "c"})
            assert (answer.status_code, answer.reason_phrase, answer.text) == (200, "Fine", "hi")
            assert answer.http_version == "HTTP/1.1"
            assert answer.headers.get_list("x-a") == ["1", "2"]
        assert (pool.opened, pool.reused) == (1, 1)
        request = upstream.requests[0]
        assert (request.method, request.target) == (b"POST", b"/v1/x?q=%2f")
        assert (request.body, request.field(b"x-b")) == (b'{"a":1}', b"c")
        assert request.field(b"host") == f"127.0.0.1:{upstream.port}".encode()


async def test_bodies_stream_both_ways() -> None:
    answered = asyncio.Event()

    async def script(connection: Connection) -> None:
        request = await connection.read_head()
        assert request is not None
        await connection.read_body(request)
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await answered.wait()
        await connection.send(b"2\r\ncd\r\n0\r\n\r\n")

    async def body() -> AsyncIterator[bytes]:
        for piece in (b"12", b"", b"345"):
            yield piece
            await asyncio.sleep(0)

    async with client_of(script) as (client, upstream, _):
        async with client.stream("POST", "/", content=body()) as answer:
            pieces = []
            async for piece in answer.aiter_raw():
                pieces.append(piece)
                answered.set()
        assert pieces == [b"ab", b"cd"]
        assert upstream.requests[0].chunks == [b"12", b"345"]


async def test_a_slow_reader_stops_the_upstream() -> None:
    body = os.urandom(8 << 20)
    sent = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        sent.set()

    async with client_of(script) as (client, _, pool):
        async with client.stream("GET", "/") as answer:
            await asyncio.sleep(0.1)
            assert not sent.is_set()
            assert await answer.aread() == body
        await eventually(lambda: pool.open == pool.idle)


async def test_a_slow_upstream_stops_the_upload() -> None:
    reads = asyncio.Event()
    asked = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        for _ in range(200):
            asked += 1
            yield b"x" * 65536

    async def script(connection: Connection) -> None:
        request = await connection.read_head()
        assert request is not None
        await reads.wait()
        await connection.read_body(request)
        await connection.send(HI)

    async with client_of(script) as (client, upstream, _):

        async def post() -> httpx.Response:
            return await client.post("/", content=body())

        async def watch() -> None:
            await eventually(lambda: asked > 1)
            await asyncio.sleep(0.1)
            assert asked < 200
            reads.set()

        answer, _ = await asyncio.gather(post(), watch())
        assert answer.text == "hi"
        assert len(upstream.requests[0].body) == 200 * 65536


async def test_an_early_answer_ends_the_upload() -> None:
    async def script(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await connection.read_to_end()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10
            await asyncio.sleep(0.001)

    async with client_of(script) as (client, _, pool):
        answer = await client.post("/", content=endless())
        assert (answer.status_code, answer.text) == (413, "no")
        await eventually(lambda: pool.open == 0)


async def test_a_body_that_raises_fails_the_request() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("a fault of the caller")

    async with client_of(answering(HI)) as (client, _, pool):
        with pytest.raises(LookupError):
            await client.post("/", content=broken())
        await eventually(lambda: pool.open == 0)


async def test_closing_the_response_early_cancels_the_call() -> None:
    ends: list[str] = []

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        ends.append(await connection.read_to_end())

    async with client_of(script) as (client, _, pool):
        async with client.stream("GET", "/") as answer:
            assert await anext(answer.aiter_raw()) == b"abc"
        await eventually(lambda: bool(ends) and pool.open == 0)


async def test_clients_that_abort_leave_the_pool_whole() -> None:
    async def script(connection: Connection) -> None:
        while (request := await connection.read_request()) is not None:
            if request.target == b"/v1/slow":
                await connection.read_to_end()
                return
            await connection.send(HI)

    async with client_of(script) as (client, _, pool):
        for turns in range(60):
            task = asyncio.gather(client.get("/slow"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        answers = await asyncio.gather(*[client.get("/") for _ in range(50)])
        assert {answer.text for answer in answers} == {"hi"}
        await eventually(lambda: pool.open == pool.idle)


@pytest.mark.parametrize(
    ("sent", "is_reset", "error"),
    [
        (b"", False, httpx.RemoteProtocolError),
        (b"", True, httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", False, httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", True, httpx.ReadError),
        (b"nonsense\r\n", False, httpx.RemoteProtocolError),
    ],
)
async def test_failures_are_httpx_errors(sent: bytes, is_reset: bool, error: type[Exception]) -> None:
    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(sent)
        if is_reset:
            await asyncio.sleep(0.01)
            connection.reset()

    async with client_of(script) as (client, _, _):
        with pytest.raises(error, match=r"127\.0\.0\.1"):
            await client.get("/")


async def test_what_cannot_be_connected_to_is_a_connect_error() -> None:
    async with client_of(answering(HI)) as (client, upstream, pool):
        with pytest.raises(httpx.ConnectError):
            await client.get("http://no-such-host.invalid/")
        with pytest.raises(httpx.ConnectError):
            await client.get(f"https://127.0.0.1:{upstream.port}/")
        assert pool.open == 0


async def test_the_read_timeout_is_obeyed() -> None:
    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.read_to_end()

    async with client_of(script) as (client, _, pool):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=httpx.Timeout(5, read=0.05))
        await eventually(lambda: pool.open == 0)


async def test_nothing_breaks_out_of_its_line() -> None:
    async with client_of(answering(HI)) as (client, upstream, _):
        with pytest.raises(httpx.LocalProtocolError):
            await client.get("/", headers=[(b"X-A", b"a\r\nX-B: b")])
        assert upstream.requests == []


async def test_https_goes_through_too(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    pool = UpstreamPool(tls=make_tls_context(certificates.ca_file))
    async with ScriptedUpstream(answering(HI), tls=certificates.server) as upstream:
        async with httpx.AsyncClient(transport=PoolTransport(pool)) as client:
            assert (await client.get(f"https://localhost:{upstream.port}/")).text == "hi"
        await pool.aclose()
