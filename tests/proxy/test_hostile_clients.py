"""The fast shell against clients that mean harm: nothing slips through, nothing grows, nothing stays."""

import asyncio
import resource
from typing import cast

import pytest

from app.config import Settings
from app.proxy.worker import rules_of
from tests.fakes.upstream import ScriptedUpstream, answering
from tests.proxy.harness import running_proxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000)
GET = b"GET /v1/x HTTP/1.1\r\nHost: p\r\n\r\n"
CHUNKED_POST = b"POST /v1/x HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "refused",
    [
        b"GET http://evil.example/x HTTP/1.1\r\nHost: p\r\n\r\n",
        b"POST /nowhere HTTP/1.1\r\nHost: p\r\nHost: q\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_nothing_behind_a_refused_request_is_a_request(tmp_path, refused):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(refused + GET)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        await asyncio.sleep(0.1)
        assert not upstream.requests and not proxy.recorded()
        writer.close()


async def test_answers_that_a_client_does_not_read_hold_its_next_requests_back(tmp_path):
    async with (
        ScriptedUpstream(answering(BIG)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        reader, writer = await proxy.connect()
        cast(asyncio.Transport, writer.transport).pause_reading()
        writer.write(GET * 200)
        seen = -1
        while seen != len(upstream.requests) or not seen:
            seen = len(upstream.requests)
            await asyncio.sleep(0.3)
        [connection] = proxy.server.server_state.connections
        assert connection.transport.get_write_buffer_size() < 1 << 20
        cast(asyncio.Transport, writer.transport).resume_reading()
        size = 0
        while size < 200 * 200_000:
            size += len(await reader.read(1 << 20))
        assert len(await proxy.ended(200)) == 200
        writer.close()


@pytest.mark.parametrize("start", [b"0\r\nX: ", b"1;"])
async def test_trailers_and_chunk_extensions_without_end_are_cut_off(tmp_path, start):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        _reader, writer = await proxy.connect()
        writer.write(CHUNKED_POST + start)
        sent = 0
        try:
            while sent < 64 << 20:
                writer.write(b"a" * 65536)
                sent += 65536
                await writer.drain()
        except ConnectionError:
            pass
        assert sent < 16 << 20
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.end.reason) == ("refused", "head_too_large")
        writer.close()


async def test_a_head_behind_a_large_body_has_a_limit_of_its_own(tmp_path):
    post = b"POST /v1/x HTTP/1.1\r\nHost: p\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(post + GET[:10])
        await reader.readuntil(b"{}")
        writer.write(GET[10:])
        assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_a_connection_ends_once_an_answer_has_said_so(tmp_path):
    may_end = asyncio.Event()

    async def script(connection):
        request = await connection.read_head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await connection.read_body(request)
        await may_end.wait()
        await connection.send(b"{}")
        await connection.read_to_end()

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        reader, writer = await proxy.connect()
        writer.write(b"POST /v1/x HTTP/1.1\r\nHost: p\r\nContent-Length: 4\r\n\r\n")
        assert b"connection: close" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"abcd")
        await asyncio.sleep(0.05)
        may_end.set()
        async with asyncio.timeout(10):
            assert await reader.read() == b"{}"
        writer.close()


async def test_a_client_that_never_reads_the_last_bytes_is_cut_off(tmp_path):
    async with (
        ScriptedUpstream(answering(BIG)) as upstream,
        running_proxy(tmp_path, upstream.address(), keepalive_seconds=0.5, body_idle_seconds=0.5) as proxy,
    ):
        _reader, writer = await proxy.connect()
        cast(asyncio.Transport, writer.transport).pause_reading()
        async with asyncio.timeout(20):
            while not proxy.server.server_state.connections:
                await asyncio.sleep(0.01)
            [connection] = proxy.server.server_state.connections
            while not connection.transport.get_write_buffer_size():
                writer.write(GET)
                await asyncio.sleep(0.02)
            while proxy.server.server_state.connections:
                await asyncio.sleep(0.1)
        assert not proxy.context.flows
        writer.transport.abort()


async def test_a_connection_that_comes_during_the_drain_does_not_hold_it_up(tmp_path):
    async with running_proxy(tmp_path) as proxy:
        proxy.context.is_draining = True
        reader, writer = await proxy.connect()
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_connections_above_the_limit_are_told_so_and_the_others_go_on(tmp_path):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address(), max_connections=5) as proxy,
    ):
        held = [await proxy.connect() for _ in range(5)]
        while len(proxy.server.server_state.connections) < 5:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            for _ in range(20):
                reader, writer = await proxy.connect()
                got = await reader.read()
                assert got.startswith(b"HTTP/1.1 503 ") and b'"too_many_connections"' in got
                writer.close()
            for reader, writer in held:
                writer.write(GET)
                assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 OK")
            held.pop()[1].close()
            while len(proxy.server.server_state.connections) >= 5:
                await asyncio.sleep(0.01)
            held.append(await proxy.connect())
            held[-1][1].write(GET)
            assert (await held[-1][0].readuntil(b"{}")).startswith(b"HTTP/1.1 200 OK")
        for _, writer in held:
            writer.close()


def test_every_client_of_a_worker_has_a_file_left_for_its_upstream():
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 1 <= rules_of(Settings()).max_connections <= min(12_000, soft // 2)
    assert rules_of(Settings(max_inflight=10)).max_connections <= 2_010
