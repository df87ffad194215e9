"""Payloads that follow from a number: what came can be checked without keeping what was sent."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass, field

from app.telemetry.tasks import spawn
from tests.fakes.upstream import Connection
from tests.product import Product

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CANARY = "sk-canary-0d9b6f3c1a7e4852"
"""The key of every call: it may stand nowhere afterwards."""
GIVE_UP_SECONDS = 120.0


def payload(number: int, position: int) -> bytes:
    """Chunk `position` of stream `number`."""
    return b"data: " + hashlib.sha256(b"%d/%d" % (number, position)).hexdigest().encode() * 5 + b"\n\n"


def expected(number: int, chunks: int) -> bytes:
    """The first chunks of a stream."""
    return b"".join(payload(number, position) for position in range(chunks))


async def oracle_upstream(connection: Connection) -> None:
    """Answers `/v1/NUMBER/CHUNKS/PAUSE_MS` with that stream; with `/reset`, `/stall` or `/silent`, not to its end."""
    while (request := await connection.read_request()) is not None:
        number, chunks, pause_ms = (int(part) for part in request.target.split(b"/")[2:5])
        how = request.target.split(b"/")[5:]
        broken_after = random.Random(number).randrange(chunks + 1) if how else chunks
        if how == [b"reset"] and not broken_after and number % 2:
            await connection.send(HEAD[: number % len(HEAD)])
            connection.reset()
            return
        if how == [b"silent"]:
            await connection.read_to_end()  # without a word
            return
        await connection.send(HEAD)
        for position in range(broken_after):
            data = payload(number, position)
            await connection.send(b"%x\r\n%b\r\n" % (len(data), data))
            await asyncio.sleep(pause_ms / 1000)
        if how == [b"reset"]:
            connection.reset()
            return
        if how == [b"stall"]:
            await connection.read_to_end()
            return
        await connection.send(b"0\r\n\r\n")


@dataclass
class Received:
    """What one client got."""

    number: int
    chunks: int
    status: int = 0
    exchange_id: str = ""
    body: bytes = b""
    is_whole: bool = False
    left: bool = False
    """It went away by itself."""


@dataclass
class Clients:
    """Clients that note each byte they got."""

    product: Product
    received: list[Received] = field(default_factory=list)
    numbers: int = 0
    unanswered: int = 0
    """Calls of which not even a head came."""

    async def ask(
        self, chunks: int, pause_ms: int, how: str = "", leave_after: float | None = None
    ) -> Received:
        """One stream on a connection of its own; a broken one gives what came of it.

        With `leave_after` the client resets the connection after so many seconds.
        """
        self.numbers += 1
        got = Received(self.numbers, chunks)
        try:
            async with asyncio.timeout(leave_after or GIVE_UP_SECONDS):
                await self._ask(got, f"/v1/{got.number}/{chunks}/{pause_ms}{how}")
        except (ConnectionError, asyncio.IncompleteReadError):
            self.unanswered += not got.status  # what came before the break is what counts
        except TimeoutError:
            assert leave_after is not None, f"stream {got.number} hangs"
            got.left = True
        return got

    async def _ask(self, got: Received, target: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.product.port)
        try:
            head = f"GET {target} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {CANARY}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            got.status = int(answer[9:12])
            self.received.append(got)
            for line in answer.lower().split(b"\r\n"):
                if line.startswith(b"x-verbatim-exchange-id:"):
                    got.exchange_id = line.partition(b":")[2].strip().decode()
            if b"chunked" not in answer.lower():
                got.body = await reader.read()
                return
            while size := int(await reader.readuntil(b"\r\n"), 16):
                got.body += await reader.readexactly(size)
                await reader.readexactly(2)
            got.is_whole = True
        finally:
            writer.transport.abort()

    async def until(self, stop: asyncio.Event, chunks: int, pause_ms: int) -> None:
        """One stream after the other."""
        while not stop.is_set():
            await self.ask(chunks, pause_ms)
            await asyncio.sleep(0.01)

    def load(self, stop: asyncio.Event, streams: int, chunks: int, pause_ms: int) -> list[asyncio.Task[None]]:
        """So many clients at once, until `stop`."""
        return [spawn(self.until(stop, chunks, pause_ms), name="load") for _ in range(streams)]
