"""What comes together, or while the disk is waited for: nothing passes too early, twice, or after the end."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import cast

import pytest

from app.journal.disk import RealDisk
from app.proxy.protocol import ExchangeProtocol
from app.proxy.upstream import Upstream
from app.telemetry.tasks import spawn
from tests.fakes.handler import eventually
from tests.fakes.upstream import Connection, ScriptedUpstream, answering
from tests.proxy.harness import running_proxy

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
GET = b"GET /v1/models HTTP/1.1\r\nHost: proxy\r\n\r\n"
POST_HEAD = b"POST /v1/x HTTP/1.1\r\nHost: p\r\nContent-Length: %d\r\n\r\n"
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["fast", "plain"])
def shell(request):
    return request.param


class GatedDisk(RealDisk):
    """Once shut, each sync waits to be let through."""

    def __init__(self) -> None:
        self.durable_bytes = 0
        """How much of a file the last sync that returned has made durable for certain."""
        self._is_shut = False
        self._passes = threading.Semaphore(0)

    def shut(self) -> None:
        self._is_shut = True

    def let_through(self) -> None:
        self._passes.release()

    def open_for_good(self) -> None:
        self._is_shut = False
        self._passes.release(1000)

    def sync(self, fd: int) -> None:
        size_bytes = self.size(fd)
        if self._is_shut:
            self._passes.acquire()
        super().sync(fd)
        self.durable_bytes = size_bytes


async def test_with_fsync_always_what_comes_during_a_sync_waits_for_the_next(tmp_path: Path, shell):
    disk = GatedDisk()
    go_on = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(SSE + b"5\r\nfirst\r\n")
        await go_on.wait()
        await connection.send(b"6\r\nsecond\r\n0\r\n\r\n")

    async def let_through(finished: asyncio.Event) -> None:
        while not finished.is_set():
            disk.let_through()
            await asyncio.sleep(0.1)

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(
            tmp_path, upstream.address(), shell=shell, journal={"fsync": "always"}, disk=disk
        ) as proxy,
    ):
        reader, writer = await proxy.connect()
        disk.shut()
        finished = asyncio.Event()
        writer.write(GET)
        await eventually(lambda: [each.response for each in proxy.recorded()] == [b"first"])
        await asyncio.sleep(0.3)  # a sync is under way now that covers no more than this
        go_on.set()
        await eventually(lambda: proxy.recorded()[0].end is not None)
        [segment] = proxy.journal_dir.glob("s-*.seg")
        size_bytes = segment.stat().st_size
        task = spawn(let_through(finished), name="disk")
        try:
            await reader.readuntil(b"second")
            assert disk.durable_bytes >= size_bytes
            await reader.readuntil(b"0\r\n\r\n")
        finally:
            finished.set()
            disk.open_for_good()
            await task
        writer.close()
        [recorded] = await proxy.ended()
        assert recorded.outcome == "completed" and recorded.response == b"firstsecond"


async def test_an_answer_that_comes_after_a_refusal_is_neither_kept_nor_sent(tmp_path: Path, shell):
    disk = GatedDisk()
    answer = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.read_head()
        await answer.wait()
        await connection.send(OK)
        await connection.read_to_end()

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(
            tmp_path,
            upstream.address(),
            shell=shell,
            journal={"fsync": "always"},
            disk=disk,
            max_body_bytes=10,
        ) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(b"POST /v1/x HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await eventually(lambda: bool(upstream.requests))
        disk.shut()
        try:
            writer.write(b"8\r\ntoo much\r\n")
            await eventually(lambda: proxy.recorded()[0].end is not None)
            answer.set()
            await asyncio.sleep(0.2)
        finally:
            disk.open_for_good()
        got = await reader.readuntil(b"\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 413")
        writer.close()
        [recorded] = await proxy.ended()
        assert recorded.kinds.count("END") == 1 and recorded.kinds[-1] == "END", recorded.kinds
        assert recorded.outcome == "refused" and recorded.head.status == 413


async def test_a_pipelined_request_does_not_count_the_one_before_it_as_under_way(tmp_path: Path):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address(), max_inflight=1) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(GET * 3)
        for _ in range(3):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readexactly(2)
        writer.close()
        assert [each.outcome for each in await proxy.ended(3)] == ["completed"] * 3


@pytest.mark.parametrize(
    "rest",
    [
        b"\x00garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * (70 << 10),
        b"GET /v1/x HTTP/1.1\r\nHost: p\r\n\r\n",
    ],
)
async def test_what_follows_a_refusal_without_an_upstream_changes_nothing(tmp_path: Path, rest, caplog):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        got = await proxy.ask(b"GET /nothing HTTP/1.1\r\n\r\n" + rest)
        assert got.startswith(b"HTTP/1.1 400") and got.count(b"HTTP/1.1") == 1
        assert b"bad_host" in got
        assert not upstream.requests and not caplog.records


async def test_an_answer_before_the_upload_was_taken_leaves_the_connection_readable(tmp_path: Path):
    may_answer = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not wants_more:
            await may_answer.wait()
        writer.write(OK.replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
        await writer.drain()
        writer.transport.abort()

    wants_more = False
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(serve, sock=listener, limit=1024)
    address = Upstream("v1", "http", "127.0.0.1", listener.getsockname()[1], b"")
    async with server, running_proxy(tmp_path, address) as proxy:
        for size in range(256 << 10, 16 << 20, 64 << 10):
            # The size for which the last read of the request fills what the kernel takes of it.
            reader, writer = await proxy.connect()
            may_answer.clear()
            writer.write(POST_HEAD % size + bytes(size))
            await asyncio.sleep(0.05)
            connections = [cast(ExchangeProtocol, each) for each in proxy.server.server_state.connections]
            [connection] = [each for each in connections if each._turns]
            is_full = connection._pauses and connection._turns[0].is_complete
            wants_more = bool(is_full)
            may_answer.set()
            if is_full:
                async with asyncio.timeout(5):
                    await reader.readuntil(b"{}")
                    writer.write(GET)
                    await reader.readuntil(b"{}")
                writer.close()
                return
            writer.close()
            await eventually(lambda: not proxy.server.server_state.connections)
        raise AssertionError("the kernel takes more than 16 MiB")
