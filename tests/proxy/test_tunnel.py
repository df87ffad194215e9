"""Upgrades: after the upstream's 101 the connection is a tunnel whose bytes pass, and are kept, as they come."""

import asyncio
import hashlib

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.proxy.upstream import Upstream
from tests.fakes.upstream import Connection, ScriptedUpstream, answering
from tests.proxy.harness import running_proxy

UPGRADE = (
    b"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: p\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


async def echo(connection: Connection) -> None:
    """Changes the protocol and sends back what comes until `bye`."""
    await connection.read_request()
    await connection.send(SWITCHED)
    while data := await connection.read_some():
        await connection.send(data)
        if data.endswith(b"bye"):
            return


async def test_after_101_both_directions_pass_and_are_kept_byte_for_byte(tmp_path):
    async with ScriptedUpstream(echo) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        reader, writer = await proxy.connect()
        writer.write(UPGRADE)
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        assert first == b"HTTP/1.1 101 Switching Protocols"
        assert lines[:3] == SWITCHED.split(b"\r\n")[1:4]
        assert lines[3].startswith(b"x-verbatim-exchange-id: ") and len(lines) == 4
        [asked] = upstream.requests
        assert asked.field(b"connection") == b"Upgrade" and asked.field(b"upgrade") == b"websocket"
        assert asked.field(b"sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="
        sent = b""
        for piece in (b"\x00\xff\r\n\r\nGET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 1000, b"bye"):
            sent += piece
            writer.write(piece)
            assert await reader.readexactly(len(piece)) == piece
        assert await reader.read() == b""
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.head.status, recorded.end.request_complete) == (
            "completed",
            101,
            True,
        )
        assert recorded.request == recorded.response == sent
        assert (recorded.end.request_bytes, recorded.end.response_bytes) == (len(sent), len(sent))
        writer.close()


async def test_what_comes_with_the_request_waits_for_the_101(tmp_path):
    async def script(connection: Connection) -> None:
        await connection.read_request()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await connection.read_some()
        await connection.send(SWITCHED + b"first")
        assert await connection.read_some() == b"early"

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        assert (await proxy.ask(UPGRADE + b"early")).endswith(b"\r\n\r\nfirst")
        [recorded] = await proxy.ended()
        assert (recorded.request, recorded.response) == (b"early", b"first")


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"426 Upgrade Required", b"200 OK"])
async def test_an_upstream_that_does_not_switch_answers_and_no_byte_more_goes_there(tmp_path, status):
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}"
    async with (
        ScriptedUpstream(answering(answer)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        got = await proxy.ask(UPGRADE + b"GET /v1/smuggled HTTP/1.1\r\nHost: p\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 " + status) and got.endswith(b"{}") and got.count(b"HTTP/1.1") == 1
        assert b"connection: close" in got
        assert len(upstream.requests) == 1
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.request, recorded.response) == ("completed", b"", b"{}")


async def test_a_101_that_nobody_asked_for_is_no_answer(tmp_path):
    async with (
        ScriptedUpstream(answering(SWITCHED)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        got = await proxy.ask(b"GET /v1/x HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 502 ")
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.end.reason) == ("upstream_failed", "malformed")


async def test_a_client_that_goes_ends_the_upstream_too(tmp_path):
    async with ScriptedUpstream(echo) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        reader, writer = await proxy.connect()
        writer.write(UPGRADE + b"x")
        await reader.readuntil(b"\r\n\r\nx")
        writer.close()
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.request, recorded.response) == ("client_left", b"x", b"x")
        async with asyncio.timeout(10):
            await upstream.connections[0].closed.wait()


async def test_a_client_that_goes_before_the_101_is_seen(tmp_path):
    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.read_to_end()

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        _reader, writer = await proxy.connect()
        writer.write(UPGRADE)
        await asyncio.sleep(0.1)
        writer.close()
        [recorded] = await proxy.ended()
        assert recorded.outcome == "client_left"
        async with asyncio.timeout(10):
            await upstream.connections[0].closed.wait()


async def test_an_upstream_that_resets_a_tunnel_is_told_as_such(tmp_path):
    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(SWITCHED + b"abc")
        await asyncio.sleep(0.1)
        connection.reset()

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        await proxy.ask(UPGRADE)
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.end.reason, recorded.response) == (
            "upstream_failed",
            "reset",
            b"abc",
        )


async def test_a_silent_tunnel_outlives_the_deadlines_of_requests(tmp_path):
    async with (
        ScriptedUpstream(echo) as upstream,
        running_proxy(
            tmp_path, upstream.address(), body_idle_seconds=0.2, head_seconds=0.2, keepalive_seconds=0.2
        ) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(2.5)
        writer.write(b"bye")
        assert await reader.read() == b"bye"
        writer.close()


async def test_a_slow_end_slows_the_other_and_nothing_is_lost(tmp_path):
    size_bytes = 32 << 20
    digest = hashlib.sha256()

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(SWITCHED)
        await asyncio.sleep(0.5)
        received = 0
        while received < size_bytes:
            data = await connection.read_some()
            digest.update(data)
            received += len(data)

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        reader, writer = await proxy.connect()
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        piece = bytes(range(256)) * 4096
        for _ in range(size_bytes // len(piece)):
            writer.write(piece)
            await writer.drain()
        assert await reader.read() == b""
        [recorded] = await proxy.ended()
        assert digest.digest() == hashlib.sha256(piece * (size_bytes // len(piece))).digest()
        assert hashlib.sha256(recorded.request).digest() == digest.digest()
        writer.close()


async def test_a_drain_that_is_over_cuts_the_tunnel_as_stopped(tmp_path):
    async with (
        ScriptedUpstream(echo) as upstream,
        running_proxy(tmp_path, upstream.address(), drain_seconds=0.2) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(UPGRADE + b"x")
        await reader.readuntil(b"\r\n\r\nx")
        proxy.server.begin_drain()
        assert await reader.read() == b""
        [recorded] = await proxy.ended()
        assert recorded.outcome == "proxy_stopped"
        writer.close()


async def realtime(connection: ServerConnection) -> None:
    """A WebSocket server that sends back what it gets, text as text and bytes as bytes."""
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        return


async def test_a_real_websocket_client_and_server_notice_nothing(tmp_path):
    key = "sk-canary-0123456789abcdef"
    async with serve(realtime, "127.0.0.1", 0, subprotocols=["realtime"], max_size=None) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        async with running_proxy(tmp_path, Upstream("v1", "http", "127.0.0.1", port)) as proxy:
            async with connect(
                f"ws://127.0.0.1:{proxy.port}/v1/realtime?model=m",
                subprotocols=["realtime", f"openai-insecure-api-key.{key}"],  # type: ignore[list-item]
                max_size=None,
            ) as client:
                assert client.subprotocol == "realtime"
                for message in ("é", b"\x00\xff", "x" * 3_000_000):
                    await client.send(message)
                    assert await client.recv() == message
                await (await client.ping())
            [recorded] = await proxy.ended()
            assert (recorded.outcome, recorded.head.status) == ("completed", 101)
            assert recorded.begin.key is not None and recorded.begin.key_tail == "cdef"
            for path in proxy.journal_dir.iterdir():
                assert key.encode() not in path.read_bytes()
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{proxy.port}/v1/realtime", additional_headers={"Upgrade": "x"})
            assert refused.value.response.status_code == 501


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("fsync", ["off", "always"])
async def test_an_odd_101_is_a_101(tmp_path, first, framing, is_cut, fsync):
    answer = first + SWITCHED.replace(b"Connection", framing + b"Connection") + b"hello"

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(*([answer[at : at + 1] for at in range(len(answer))] if is_cut else [answer]))
        assert await connection.read_some() == b"early"
        await connection.send(b"late")

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), journal={"fsync": fsync}) as proxy,
    ):
        async with asyncio.timeout(10):
            assert (await proxy.ask(UPGRADE + b"early")).endswith(b"\r\n\r\nhellolate")
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.request, recorded.response) == (
            "completed",
            b"early",
            b"hellolate",
        )


async def test_an_upgrade_behind_another_request_is_not_begun_and_the_answer_says_so(tmp_path):
    async with (
        ScriptedUpstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        request = b"GET /v1/models HTTP/1.1\r\nHost: p\r\n\r\n"
        async with asyncio.timeout(10):
            got = await proxy.ask(request + UPGRADE + b"early" + request)
        assert got.count(b"HTTP/1.1") == 1 and b"connection: close" in got
        assert len(upstream.requests) == 1 and len(await proxy.ended()) == 1
