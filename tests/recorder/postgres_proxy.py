"""A gate before PostgreSQL: it can be shut, and it can lose the answer to one command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


@dataclass
class Gate:
    """While shut, connections are reset; while `is_stalled`, nothing passes and nothing is said.

    `swallow_answer_to` cuts the connection after PostgreSQL obeyed; the rest makes the way slow.
    """

    url: str = ""
    swallow_answer_to: bytes | None = None
    swallowed: int = 0
    is_shut: bool = False
    is_stalled: bool = False
    delay_seconds: float = 0.0
    bytes_per_second: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def close(self) -> None:
        """Shuts it and cuts what goes through."""
        self.is_shut = True
        for writer in self.writers:
            writer.transport.abort()

    def open(self) -> None:
        """Lets through again."""
        self.is_shut = False

    async def hinder(self, size_bytes: int) -> None:
        """Holds back what is on its way, as it is set now."""
        while self.is_stalled:
            await asyncio.sleep(0.02)
        if self.delay_seconds or self.bytes_per_second:
            per_byte = 1 / self.bytes_per_second if self.bytes_per_second else 0.0
            await asyncio.sleep(self.delay_seconds + size_bytes * per_byte)


@asynccontextmanager
async def gate(url: str) -> AsyncIterator[Gate]:
    """A gate before the database of this URL."""
    way = Gate()
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    folder = query.get("host", [None])[0]

    async def pass_through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way.writers.add(writer)
        try:
            if way.is_shut:
                return
            if folder is not None:
                port = query.get("port", ["5432"])[0]
                back = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
            else:
                back = await asyncio.open_connection(parts.hostname, parts.port or 5432)
            await _both_ways(way, (reader, writer), back)
        except OSError:
            return
        finally:
            way.writers.discard(writer)
            writer.transport.abort()

    server = await asyncio.start_server(pass_through, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user = f"{parts.username}:{parts.password}@" if parts.password else f"{parts.username or 'postgres'}@"
    user = f"{query['user'][0]}@" if "user" in query else user
    way.url = f"postgresql://{user}127.0.0.1:{port}{parts.path}"
    try:
        yield way
    finally:
        server.close()
        way.close()
        await asyncio.sleep(0.05)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _both_ways(way: Gate, front: Stream, back: Stream) -> None:
    losing = False

    async def forward() -> None:
        nonlocal losing
        while data := await front[0].read(65_536):
            if way.swallow_answer_to is not None and way.swallow_answer_to in data:
                way.swallow_answer_to = None
                way.swallowed += 1
                losing = True
            await way.hinder(len(data))
            back[1].write(data)
            await back[1].drain()

    async def backward() -> None:
        while data := await back[0].read(65_536):
            if losing:
                return
            await way.hinder(len(data))
            front[1].write(data)
            await front[1].drain()

    tasks = [asyncio.get_running_loop().create_task(each) for each in (forward(), backward())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    back[1].transport.abort()
