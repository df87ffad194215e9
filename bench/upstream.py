"""The upstream of paced streams, a process of its own: prebuilt chunks, one timer a chunk, nothing parsed but borders.

`python -m bench.upstream SPACING_MS` listens on a free port of loopback and prints it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import cast

import uvloop

from bench.payloads import chunked, stream_events, stream_head

_HEAD_END = b"\r\n\r\n"


class PacedUpstream(asyncio.Protocol):
    """Answers each request of a connection with one paced stream."""

    def __init__(self, chunks: list[bytes], spacing_seconds: float) -> None:
        self._chunks = chunks
        self._spacing_seconds = spacing_seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._next = 0
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(_HEAD_END)
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) >= int(length or b"0"):
            self._received = b""
            self._next = 0
            self._due = self._loop.time()
            self._send()

    def _send(self) -> None:
        if self._transport is None:
            return
        self._transport.write(self._chunks[self._next])
        self._next += 1
        if self._next < len(self._chunks):
            # By the first chunk's time, so that the pace does not drift with the load.
            self._due += self._spacing_seconds
            self._loop.call_at(self._due, self._send)


def prebuilt_chunks() -> list[bytes]:
    """What is written at each tick; the head goes with the first event, the last chunk with the last one."""
    chunks = [chunked(event) for event in stream_events()]
    chunks[0] = stream_head() + chunks[0]
    chunks[-1] += chunked(b"")
    return chunks


async def _serve(spacing_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    chunks = prebuilt_chunks()
    server = await loop.create_server(lambda: PacedUpstream(chunks, spacing_seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(float(sys.argv[1]) / 1000))
