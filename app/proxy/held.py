"""With fsync `always`: what goes to the client waits until the disk has it."""

from __future__ import annotations

from collections.abc import Callable

from app.proxy.client import ClientSide
from app.proxy.context import Journal
from app.proxy.upstream import Headers, ResponseHead


class HeldClient:
    """A ClientSide that passes each flush on when all that the journal holds by then is durable; order is kept."""

    __slots__ = ("_client", "_gathered", "_journal")

    def __init__(self, client: ClientSide, journal: Journal) -> None:
        self._client = client
        self._journal = journal
        self._gathered: list[Callable[[], None]] = []

    def send_continue(self) -> None:
        self._client.send_continue()
        self._client.flush()

    def send_informational(self, status: int, reason: bytes, headers: Headers) -> None:
        self._gathered.append(lambda: self._client.send_informational(status, reason, headers))

    def send_head(self, head: ResponseHead) -> None:
        self._gathered.append(lambda: self._client.send_head(head))

    def send_data(self, data: bytes) -> None:
        self._gathered.append(lambda: self._client.send_data(data))

    def finish(self, trailers: Headers) -> None:
        self._gathered.append(lambda: self._client.finish(trailers))

    def abort(self) -> None:
        self._gathered.append(self._client.abort)

    def flush(self) -> None:
        if not self._gathered:
            return
        ready, self._gathered = self._gathered, []

        def release() -> None:
            for send in ready:
                send()
            self._client.flush()

        self._journal.on_durable(self._journal.position, release)

    def pause_reading(self) -> None:
        self._client.pause_reading()

    def resume_reading(self) -> None:
        self._client.resume_reading()
