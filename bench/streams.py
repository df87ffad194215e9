"""A client of paced streams: many at once, each with its own phase, counting what arrives and when."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import cast

from bench.payloads import EVENTS, numbered, unchunked

_EVENT_START = b"data: "
_SLACK_SECONDS = 15.0
_APART_SECONDS = 0.003
"""Between the beginnings of two streams. Timers of uvloop count whole milliseconds, so less might be nothing. It has no
divisor in common with a spacing of 20 ms, so that the phases of the streams are spread over all of it."""


@dataclass(frozen=True, slots=True)
class StreamResult:
    """One window of streams."""

    streams: int
    whole: int
    """Streams that ended, in time, with the very bytes that the upstream sent."""
    events: int
    """Events that arrived: one HTTP chunk each."""
    reads: int
    """Reads of the client; far fewer than events where the proxy gathers what it should pass on."""
    seconds: float
    first_byte_ms: list[float]
    """Per stream, from its request to the first byte of its answer; sorted."""


class _Stream(asyncio.Protocol):
    """One connection that carries one stream after another."""

    def __init__(self, parts: tuple[bytes, bytes], numbers: range, expected: bytes) -> None:
        self._parts = parts
        self._numbers = iter(numbers)
        self._expected = expected
        self._transport: asyncio.Transport | None = None
        self._received: list[bytes] = []
        self._begun = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reads = 0
        self.events = 0
        self.whole = 0
        self.first_byte_ms: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish()

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self.first_byte_ms.append((time.perf_counter() - self._begun) * 1000)
        self.reads += 1
        self.events += data.count(_EVENT_START)
        self._received.append(data)
        if data.endswith(b"0\r\n\r\n"):
            body = unchunked(b"".join(self._received))
            if body is not None:
                self.whole += body == self._expected
                self._request()

    def _request(self) -> None:
        number = next(self._numbers, None)
        if number is None:
            self._finish()
            return
        self._received.clear()
        assert self._transport is not None
        self._begun = time.perf_counter()
        self._transport.write(numbered(self._parts, number))

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def run(
    port: int,
    parts: tuple[bytes, bytes],
    expected: bytes,
    *,
    streams: int,
    rounds: int,
    spacing_seconds: float,
    start: int,
) -> StreamResult:
    """`rounds` streams on each of `streams` connections, begun one after another."""
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    clients: list[_Stream] = []
    try:
        for index in range(streams):
            first = start + index * rounds
            client = _Stream(parts, range(first, first + rounds), expected)
            clients.append(client)
            await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
            await asyncio.sleep(_APART_SECONDS)
        limit = rounds * EVENTS * spacing_seconds + _SLACK_SECONDS
        await asyncio.wait([client.done for client in clients], timeout=limit)
        seconds = time.perf_counter() - begun
    finally:
        for client in clients:
            client.close()
    return StreamResult(
        streams=streams * rounds,
        whole=sum(client.whole for client in clients),
        events=sum(client.events for client in clients),
        reads=sum(client.reads for client in clients),
        seconds=seconds,
        first_byte_ms=sorted(each for client in clients for each in client.first_byte_ms),
    )
