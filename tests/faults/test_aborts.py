"""Clients that leave at any moment, and clients that hardly read: nobody else notices, and no slot is lost."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.telemetry.tasks import spawn
from tests.faults.conftest import Row
from tests.faults.injectors import peak_mib, processes
from tests.faults.judge import Allowed, fetch
from tests.faults.oracle import CANARY, Received, expected
from tests.faults.world import World, world

AT_ONCE = 50
LEFT = Allowed(frozenset({"client_left"}), unanswered=True)
CONNECTING = "SELECT outcome FROM exchanges WHERE upstream = 'hanging'"
MOMENTS = ("connecting", "soon", "in the answer", "at its end")
SOON_SECONDS = 0.1
CHUNKS, PAUSE_MS = 10, 20
SLOW_BYTES = 100
SLOW_CHUNKS = 500
LONG_CHUNKS = 20_000
"""More than the kernel takes for one connection (some 4 MB): the upstream of these is held back."""
EVERY_LONG = 20


@contextmanager
def hanging_port() -> Iterator[int]:
    """A port whose listener takes no more connections, so that connecting hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.mark.row("A1", ci=200, soak=2000)
async def test_after_thousands_of_aborts_a_quarter_of_them_while_connecting_every_call_succeeds(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    with hanging_port() as port:
        async with world(tmp_path, database_url, upstreams=f"hanging=http://127.0.0.1:{port}") as made:
            turns = row.turns()

            async def leave() -> None:
                for number in turns:
                    await _leave(made, MOMENTS[number % len(MOMENTS)])

            async with made.load(5):
                await asyncio.gather(*[leave() for _ in range(AT_ONCE)])
            closed = time.monotonic()
            await _until_nothing_is_under_way(made)
            closed = time.monotonic() - closed
            assert closed < 1.0 + 4.0, f"the last upstream connection was closed after {closed:.1f} s"
            for _ in range(row.times // 2 // AT_ONCE):
                after = await asyncio.gather(*[made.clients.ask(3, 0) for _ in range(AT_ONCE)])
                assert all(got.is_whole for got in after)
            verdict = await made.judge(LEFT)
            connecting = [each["outcome"] for each in await fetch(made.database_url, CONNECTING)]
            assert connecting == ["client_left"] * (row.times // len(MOMENTS))
            assert verdict.outcomes["client_left"] >= 1.5 * len(connecting), "hardly any left in the middle"
            row.tell(
                held=verdict,
                while_connecting=len(connecting),
                then=f"{row.times // 2} calls, all whole",
                closed=f"{closed:.2f} s after the last abort",
            )


async def _leave(made: World, moment: str) -> None:
    """Asks and goes away: by FIN from an upstream that hangs, or by RST soon, in the answer, at its last byte."""
    number = _next_number(made)
    name = "hanging" if moment == "connecting" else "v1"
    reader, writer = await asyncio.open_connection("127.0.0.1", made.product.port)
    writer.write(_head(f"/{name}/{number}/{CHUNKS}/{PAUSE_MS}"))
    size = len(expected(number, CHUNKS))
    read = b""
    if moment in ("connecting", "soon"):
        await asyncio.sleep(random.random() * SOON_SECONDS)
    elif moment == "in the answer":
        read = await reader.readexactly(random.randrange(1, size * 3 // 4))
    else:
        read = await reader.readuntil(b"\r\n0\r\n\r\n")
    if moment != "connecting":  # there an RST might overtake the request, which has to be on record
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    _note(made, number, CHUNKS, read)


async def _until_nothing_is_under_way(made: World) -> None:
    async with asyncio.timeout(30):
        while await made.metric("verbatim_exchanges_in_flight") > 0:
            await asyncio.sleep(0.05)
        while _open(made) > await made.metric("verbatim_upstream_connections_idle"):
            await asyncio.sleep(0.2)


def _open(made: World) -> int:
    return sum(not each.closed.is_set() for each in made.upstream.connections)


@pytest.mark.row("A2", ci=0, soak=1000)
async def test_clients_that_read_100_bytes_a_second_cost_little_memory_and_nobody_elses_time(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    asyncio.get_running_loop().set_debug(False)  # a thousand streams are too many for it
    async with world(tmp_path, database_url) as made:
        alone = await _seconds_of_calls(made, 10.0)
        (worker,) = processes(made.product, "proxy")
        before = peak_mib(worker)
        stop = asyncio.Event()
        chunks = [SLOW_CHUNKS if number % EVERY_LONG else LONG_CHUNKS for number in row.turns()]
        readers = [spawn(_read_slowly(made, stop, each), name="slow reader") for each in chunks]
        await _until_all_wait(made)
        among = await _seconds_of_calls(made, 280.0 if row.times >= 1000 else 10.0)
        grown = peak_mib(worker) - before
        stop.set()
        await asyncio.gather(*readers)
        assert _p99(among) < 10 * _p99(alone) + 0.1
        verdict = await made.judge(LEFT)
        assert verdict.outcomes["client_left"] == chunks.count(LONG_CHUNKS), verdict
        row.tell(
            held=verdict,
            p99=f"{_p99(among) * 1e3:.1f} ms among them, {_p99(alone) * 1e3:.1f} ms alone",
            worker=f"{grown} MiB more",
        )


async def _until_all_wait(made: World) -> None:
    """The upstream, which is in this process, has sent what there is room for on the way."""
    before = -1.0
    async with asyncio.timeout(180):
        while (written := await made.metric("verbatim_journal_written_bytes_total")) != before:
            before = written
            await asyncio.sleep(5.0)


async def _read_slowly(made: World, stop: asyncio.Event, chunks: int) -> None:
    """Reads on and on, hardly anything at a time, and leaves."""
    number = _next_number(made)
    with socket.socket() as raw:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, ("127.0.0.1", made.product.port))
        await loop.sock_sendall(raw, _head(f"/v1/{number}/{chunks}/0"))
        read = b""
        while not stop.is_set():
            read += await loop.sock_recv(raw, SLOW_BYTES)
            await asyncio.sleep(1.0)
    _note(made, number, chunks, read)


def _next_number(made: World) -> int:
    made.clients.numbers += 1
    return made.clients.numbers


def _head(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {CANARY}\r\n\r\n".encode()


def _note(made: World, number: int, chunks: int, read: bytes) -> None:
    """What a client that left has seen, for the judge; to one that has no head yet there is nothing to say."""
    head, end, body = read.partition(b"\r\n\r\n")
    if not end:
        return
    got = Received(number, chunks, status=int(head[9:12]), left=True)
    got.exchange_id = head.lower().partition(b"x-verbatim-exchange-id:")[2].split()[0].decode()
    while b"\r\n" in body:
        line, _, body = body.partition(b"\r\n")
        size = int(line, 16)
        got.is_whole = size == 0
        got.body += body[:size]
        body = body[size + 2 :]
    made.clients.received.append(got)


async def _seconds_of_calls(made: World, seconds: float) -> list[float]:
    """How long calls take, one after the other."""
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        assert (await made.clients.ask(3, 0)).is_whole
        took.append(time.monotonic() - start)
        await asyncio.sleep(0.01)
    return took


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]
