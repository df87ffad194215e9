"""Payloads that follow from a number: what came can be checked without keeping what was sent."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

from tests.fakes.upstream import Connection
from tests.product import Product

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def payload(number: int, position: int) -> bytes:
    """Chunk `position` of stream `number`."""
    return b"data: " + hashlib.sha256(b"%d/%d" % (number, position)).hexdigest().encode() * 5 + b"\n\n"


def expected(number: int, chunks: int) -> bytes:
    """The first chunks of a stream."""
    return b"".join(payload(number, position) for position in range(chunks))


async def oracle_upstream(connection: Connection) -> None:
    """Answers `/v1/NUMBER/CHUNKS/PAUSE_MS` with that stream."""
    while (request := await connection.read_request()) is not None:
        number, chunks, pause_ms = (int(part) for part in request.target.split(b"/")[2:5])
        await connection.send(HEAD)
        for position in range(chunks):
            data = payload(number, position)
            await connection.send(b"%x\r\n%b\r\n" % (len(data), data))
            await asyncio.sleep(pause_ms / 1000)
        await connection.send(b"0\r\n\r\n")


@dataclass
class Received:
    """What one client got."""

    number: int
    chunks: int
    exchange_id: str = ""
    body: bytes = b""
    is_whole: bool = False


@dataclass
class Clients:
    """Clients that note each byte they got."""

    product: Product
    received: list[Received] = field(default_factory=list)
    numbers: int = 0

    async def ask(self, chunks: int, pause_ms: int) -> Received:
        """One stream on a connection of its own; a broken one gives what came of it."""
        self.numbers += 1
        got = Received(self.numbers, chunks)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.product.port)
        except ConnectionError:
            return got
        try:
            target = f"/v1/{got.number}/{chunks}/{pause_ms}"
            writer.write(f"GET {target} HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            self.received.append(got)
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"x-verbatim-exchange-id:"):
                    got.exchange_id = line.partition(b":")[2].strip().decode()
            while size := int(await reader.readuntil(b"\r\n"), 16):
                got.body += await reader.readexactly(size)
                await reader.readexactly(2)
            got.is_whole = True
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # what came before the break is what counts
        finally:
            writer.close()
        return got

    async def until(self, stop: asyncio.Event, chunks: int, pause_ms: int) -> None:
        """One stream after the other."""
        while not stop.is_set():
            await self.ask(chunks, pause_ms)
            await asyncio.sleep(0.01)


async def judge(clients: Clients, rows: dict[str, dict]) -> None:
    """Every byte that a client received is on record, whole exchanges are whole, nothing is there twice."""
    for got in clients.received:
        assert got.body == expected(got.number, got.chunks)[: len(got.body)]
        row = rows.get(got.exchange_id)
        assert row is not None, f"exchange {got.exchange_id} is not on record"
        recorded = await asyncio.to_thread(clients.product.get, f"/api/exchanges/{got.exchange_id}/response")
        assert recorded.startswith(got.body), (
            f"{got.exchange_id}: {len(recorded)} bytes kept, {len(got.body)} received"
        )
        assert expected(got.number, got.chunks).startswith(recorded)
        if got.is_whole:
            assert (row["outcome"], recorded) == ("completed", expected(got.number, got.chunks))
        else:
            assert row["outcome"] in ("proxy_crashed", "client_left", "completed", "proxy_stopped")
