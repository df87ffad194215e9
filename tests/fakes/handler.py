"""A ResponseHandler that keeps what it was told, for tests of the upstream client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.proxy.upstream import Headers, ResponseHead, UpstreamFailure


class KeepingHandler:
    """`events` are the calls by name in order; the rest is what they carried."""

    def __init__(self, act: Callable[[str], object] = lambda event: None) -> None:
        self.events: list[str] = []
        self.informational: list[tuple[int, bytes, Headers]] = []
        self.head: ResponseHead | None = None
        self.pieces: list[bytes] = []
        self.trailers: Headers | None = None
        self.failure: UpstreamFailure | None = None
        self.retries: list[str] = []
        self.ended = asyncio.Event()
        self._act = act
        """Called with each event's name, after it was kept; may raise."""

    @property
    def body(self) -> bytes:
        """All body bytes."""
        return b"".join(self.pieces)

    def _keep(self, event: str) -> None:
        self.events.append(event)
        self._act(event)

    def on_sent(self) -> None:
        self._keep("sent")

    def on_retry(self, detail: str) -> None:
        self.retries.append(detail)
        self._keep("retry")

    def on_informational(self, status: int, reason: bytes, headers: Headers) -> None:
        self.informational.append((status, reason, headers))
        self._keep("informational")

    def on_head(self, head: ResponseHead) -> None:
        assert self.head is None
        self.head = head
        self._keep("head")

    def on_data(self, data: bytes) -> None:
        assert data
        self.pieces.append(data)
        self._keep("data")

    def on_complete(self, trailers: Headers) -> None:
        self.trailers = trailers
        self._keep("complete")

    def on_failed(self, failure: UpstreamFailure) -> None:
        self.failure = failure
        self._keep("failed")

    def on_flush(self) -> None:
        if self.trailers is not None or self.failure is not None:
            self.ended.set()
        self._keep("flush")

    def on_upload_paused(self) -> None:
        self._keep("upload_paused")

    def on_upload_resumed(self) -> None:
        self._keep("upload_resumed")


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits for a condition that some callback makes true."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)
