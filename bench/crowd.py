"""Thousands of slow streams at once: their upstream (a process of its own), and the client that reads and checks them.

`python -m bench.crowd EVENTS SPACING_SECONDS [CERTIFICATE]` listens on a free port of loopback, prints it, and answers
every request with so many events; with a certificate (PEM, its key with it) over TLS.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
import time
from dataclasses import dataclass
from typing import cast

import uvloop

from bench.payloads import chunked, numbered, stream_events, stream_head, unchunked
from bench.upstream import PacedUpstream

_HEAD_END = b"\r\n\r\n"
_BACKLOG = 16_384
_SLACK_SECONDS = 30.0


def events_of(count: int) -> list[bytes]:
    """The events of one stream: those of the payload again and again, `[DONE]` at the end."""
    *events, last = stream_events()
    return [*(events[number % len(events)] for number in range(count - 1)), last]


@dataclass(frozen=True, slots=True)
class CrowdResult:
    """What became of all streams."""

    whole: int
    """Streams that ended in time with the very bytes that the upstream sent."""
    events: int
    latest_seconds: float
    """How much longer than the upstream's pace the slowest stream took."""


class _Reader(asyncio.Protocol):
    """One stream, compared with what is expected as it arrives."""

    def __init__(self, request: bytes, wire: bytes, body: bytes) -> None:
        self._request = request
        self._wire = wire
        self._body = body
        self._transport: asyncio.Transport | None = None
        self._head: bytes | None = b""
        """What came of the head; None once it is whole."""
        self._at = 0
        self._other: list[bytes] | None = None
        """All that came, where the chunks are not those of the upstream."""
        self._begun = time.perf_counter()
        self.seconds = 0.0
        self.is_whole = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._begun = time.perf_counter()
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish()

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            head, found, rest = (self._head + data).partition(_HEAD_END)
            self._head = None if found else head
            if not found:
                return
            data = rest
        if self._other is None and self._wire.startswith(data, self._at):
            self._at += len(data)
            if self._at == len(self._wire):
                self.is_whole = True
                self._finish()
            return
        if self._other is None:
            self._other = [self._wire[: self._at]]
        self._other.append(data)
        if data.endswith(b"0\r\n\r\n"):
            self.is_whole = unchunked(_HEAD_END + b"".join(self._other)) == self._body
            self._finish()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _finish(self) -> None:
        if not self.done.done():
            self.seconds = time.perf_counter() - self._begun
            self.done.set_result(None)


class Crowd:
    """Streams that run side by side; `open` them, do what is to be done meanwhile, `join`."""

    def __init__(
        self, port: int, parts: tuple[bytes, bytes], events: list[bytes], spacing_seconds: float
    ) -> None:
        self._port = port
        self._parts = parts
        self._events = len(events)
        self._pace_seconds = (len(events) - 1) * spacing_seconds
        self._body = b"".join(events)
        self._wire = b"".join(chunked(each) for each in events) + chunked(b"")
        self._readers: list[_Reader] = []

    async def open(self, streams: int, within_seconds: float, start: int) -> None:
        """Begins so many streams, evenly within this time or as fast as it goes."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for index in range(streams):
            reader = _Reader(numbered(self._parts, start + index), self._wire, self._body)
            self._readers.append(reader)
            await loop.create_connection(lambda reader=reader: reader, "127.0.0.1", self._port)  # type: ignore[misc]
            await asyncio.sleep(max(0.0, begun + within_seconds * index / streams - loop.time()))

    async def join(self) -> CrowdResult:
        """Waits until all have ended, or should have long ago."""
        await asyncio.wait([each.done for each in self._readers], timeout=self._pace_seconds + _SLACK_SECONDS)
        whole = [each for each in self._readers if each.is_whole]
        latest = max((each.seconds for each in whole), default=0.0) - self._pace_seconds
        return CrowdResult(len(whole), len(whole) * self._events, latest)

    def close(self) -> None:
        """Ends what is left."""
        for reader in self._readers:
            reader.close()


async def _serve(count: int, spacing_seconds: float, certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    chunks = [chunked(each) for each in events_of(count)]
    chunks[0] = stream_head() + chunks[0]
    chunks[-1] += chunked(b"")
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await loop.create_server(
        lambda: PacedUpstream(chunks, spacing_seconds), "127.0.0.1", 0, ssl=context, backlog=_BACKLOG
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
