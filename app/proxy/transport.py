"""httpx's view of the pool, for clients of our own: `httpx.AsyncClient(transport=PoolTransport(pool))`.

Bodies stream both ways, with back-pressure; nothing is decoded here. Of httpx's timeouts `read` is obeyed; the pool
has its own for connecting, and no other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import httpx

from app.proxy.pool import UpstreamPool
from app.proxy.upstream import FailureKind, Headers, ResponseHead, Upstream, UpstreamCall, UpstreamFailure
from app.telemetry.tasks import spawn

MAX_QUEUED_BYTES = 64 << 10
"""Answer bytes that wait for a slow reader before the upstream is read no further."""

_ERRORS: dict[FailureKind, type[httpx.TransportError]] = {
    FailureKind.DNS: httpx.ConnectError,
    FailureKind.REFUSED: httpx.ConnectError,
    FailureKind.TLS: httpx.ConnectError,
    FailureKind.CONNECT: httpx.ConnectError,
    FailureKind.CONNECT_TIMEOUT: httpx.ConnectTimeout,
    FailureKind.RESET: httpx.ReadError,
    FailureKind.CLOSED: httpx.RemoteProtocolError,
    FailureKind.MALFORMED: httpx.RemoteProtocolError,
    FailureKind.INTERNAL: httpx.TransportError,
}


class PoolTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests through a pool, which its owner closes."""

    def __init__(self, pool: UpstreamPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns when the final head is there; the body is read from the response's stream."""
        url = request.url
        upstream = Upstream("httpx", url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        head = _head_bytes(request)
        is_chunked = any(name.lower() == b"transfer-encoding" for name, _ in request.headers.raw)
        exchange = _Exchange(request.extensions.get("timeout", {}).get("read"))
        exchange.call = self._pool.start(
            upstream, request.method.encode(), head, chunked=is_chunked, handler=exchange
        )
        assert isinstance(request.stream, httpx.AsyncByteStream)
        upload = spawn(exchange.upload(request.stream), name="httpx_upload")
        upload.add_done_callback(lambda _: exchange.on_upload_ended())
        exchange.upload_task = upload
        try:
            answer = await exchange.read_head()
        except BaseException:
            exchange.cancel()
            raise
        line = answer.status_line
        return httpx.Response(
            line.status,
            headers=answer.headers,
            stream=_AnswerStream(exchange),
            extensions={"http_version": b"HTTP/" + line.version, "reason_phrase": line.reason},
        )


class _Exchange:
    """One request and its answer between callbacks and awaits (ResponseHandler)."""

    def __init__(self, read_timeout_seconds: float | None) -> None:
        self.call: UpstreamCall | None = None
        self.upload_task: asyncio.Task[None] | None = None
        self._read_timeout_seconds = read_timeout_seconds
        self._head: ResponseHead | None = None
        self._pieces: deque[bytes] = deque()
        self._queued_bytes = 0
        self._is_complete = False
        self._error: Exception | None = None
        self._is_upload_over = False
        self._news = asyncio.Event()
        self._may_send = asyncio.Event()
        self._may_send.set()

    async def upload(self, body: httpx.AsyncByteStream) -> None:
        """Sends the request's body as it comes; its own failure is the failure of the call."""
        assert self.call is not None
        try:
            async for piece in body:
                await self._may_send.wait()
                self.call.send(piece)
            self.call.finish([])
        except Exception as error:  # noqa: BLE001 - root of a task: whatever the body raises is raised to who awaits
            self._error = self._error or error
            self.call.cancel()

    def on_upload_ended(self) -> None:
        """The body was handed over, whole or not."""
        self._is_upload_over = True
        self._news.set()

    async def read_head(self) -> ResponseHead:
        """Waits for the final head; the read timeout runs from the end of the upload."""
        while self._head is None:
            self._raise_error()
            await self._wait(self._read_timeout_seconds if self._is_upload_over else None)
        return self._head

    async def read_piece(self) -> bytes:
        """The next body bytes; empty at the end."""
        while not self._pieces:
            if self._is_complete:
                return b""
            self._raise_error()
            await self._wait(self._read_timeout_seconds)
        piece = self._pieces.popleft()
        self._queued_bytes -= len(piece)
        if self._queued_bytes <= MAX_QUEUED_BYTES and self.call is not None:
            self.call.resume_reading()
        return piece

    def cancel(self) -> None:
        """Nobody reads on."""
        if self.call is not None:
            self.call.cancel()
        if self.upload_task is not None:
            self.upload_task.cancel()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    async def _wait(self, timeout_seconds: float | None) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._news.wait()
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"nothing came for {timeout_seconds:g} s") from error

    # What the pool tells.

    def on_sent(self) -> None:
        """Of no matter here."""

    def on_retry(self, detail: str) -> None:
        """Of no matter here."""

    def on_informational(self, status: int, reason: bytes, headers: Headers) -> None:
        """httpx knows no 1xx."""

    def on_head(self, head: ResponseHead) -> None:
        """The final head."""
        self._head = head

    def on_data(self, data: bytes) -> None:
        """Queues; a reader who is too slow stops the upstream."""
        self._pieces.append(data)
        self._queued_bytes += len(data)
        if self._queued_bytes > MAX_QUEUED_BYTES and self.call is not None:
            self.call.pause_reading()

    def on_complete(self, trailers: Headers) -> None:
        """The answer is whole; an upload that still runs is pointless."""
        self._is_complete = True
        if self.upload_task is not None:
            self.upload_task.cancel()

    def on_failed(self, failure: UpstreamFailure) -> None:
        """The error is raised where the answer is awaited, after the pieces that came before it."""
        self._error = self._error or _ERRORS[failure.kind](failure.detail)
        if self.upload_task is not None:
            self.upload_task.cancel()

    def on_flush(self) -> None:
        """Wakes who waits."""
        self._news.set()

    def on_upload_paused(self) -> None:
        """The upload waits."""
        self._may_send.clear()

    def on_upload_resumed(self) -> None:
        """The upload goes on."""
        self._may_send.set()


class _AnswerStream(httpx.AsyncByteStream):
    """The answer's body as it came; closing it early cancels the call."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._exchange.read_piece():
            yield piece

    async def aclose(self) -> None:
        """Harmless after the end."""
        self._exchange.cancel()


def _head_bytes(request: httpx.Request) -> bytes:
    """The request head; raises LocalProtocolError where a part of it would break out of its line."""
    target = request.url.raw_path
    lines = [request.method.encode() + b" " + target + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in request.headers.raw]
    for line in lines:
        if any(byte in line for byte in (b"\r", b"\n", b"\0")):
            raise httpx.LocalProtocolError("a header field or the target holds a line break or NUL")
    return b"\r\n".join([*lines, b"\r\n"])
