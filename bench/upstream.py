"""The upstream of streams and of large requests, a process of its own: all it sends is prebuilt, nothing is parsed but
borders.

`python -m bench.upstream SPACING_MS` listens on two free ports of loopback and prints them: paced streams on the first;
on the second whole answers, or streams in one write, as soon as a request of any size is whole.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from bench.payloads import BURST, answer_body, answer_fields, chunked, stream_events, stream_head

_HEAD_END = b"\r\n\r\n"
_STREAMED = f"POST /{BURST}/".encode()


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
        if found and len(body) >= _content_length(head):
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


class ReadyUpstream(asyncio.Protocol):
    """Counts a request's bytes and keeps none; answers at its end, with all chunks of a stream in one write."""

    def __init__(self, whole: bytes, burst: bytes) -> None:
        self._whole = whole
        self._burst = burst
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._answer = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            head, found, body = self._head.partition(_HEAD_END)
            if not found:
                return
            self._answer = self._burst if head.startswith(_STREAMED) else self._whole
            self._left = _content_length(head) - len(body)
            self._head = b""
        if self._left <= 0:
            self._left = 0
            assert self._transport is not None
            self._transport.write(self._answer)


def _content_length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")


def prebuilt_chunks() -> list[bytes]:
    """What is written at each tick; the head goes with the first event, the last chunk with the last one."""
    chunks = [chunked(event) for event in stream_events()]
    chunks[0] = stream_head() + chunks[0]
    chunks[-1] += chunked(b"")
    return chunks


def prebuilt_answer() -> bytes:
    """A whole answer in JSON with its head, 17 fields."""
    body = answer_body()
    fields = [
        ("Server", "upstream"),
        ("Date", "Sun, 22 Nov 2026 12:00:00 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Connection", "keep-alive"),
        *answer_fields(),
    ]
    return ("HTTP/1.1 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode() + body


@dataclass(frozen=True, slots=True)
class Upstream:
    """The running process."""

    pid: int
    paced_port: int
    ready_port: int


@asynccontextmanager
async def running(spacing_seconds: float) -> AsyncIterator[Upstream]:
    """Starts it, ends it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.upstream", str(spacing_seconds * 1000)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parent.parent,
    )
    try:
        assert process.stdout is not None
        ports = (await asyncio.wait_for(process.stdout.readline(), 10)).split()
        yield Upstream(process.pid, int(ports[0]), int(ports[1]))
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _serve(spacing_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    chunks, answer = prebuilt_chunks(), prebuilt_answer()
    burst = b"".join(chunks)
    paced = await loop.create_server(lambda: PacedUpstream(chunks, spacing_seconds), "127.0.0.1", 0)
    ready = await loop.create_server(lambda: ReadyUpstream(answer, burst), "127.0.0.1", 0)
    print(*(each.sockets[0].getsockname()[1] for each in (paced, ready)), flush=True)
    await stopped.wait()
    paced.close()
    ready.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(float(sys.argv[1]) / 1000))
