"""The client as an exchange sees it."""

from __future__ import annotations

from typing import Protocol

from app.proxy.upstream import Headers, ResponseHead


class ClientSide(Protocol):
    """The client as the flow sees it; calls gather until `flush`, nothing is held back after it."""

    def send_continue(self) -> None:
        """100 Continue: the client waits for it before it sends the body."""

    def send_informational(self, status: int, reason: bytes, headers: Headers) -> None:
        """A 1xx answer."""

    def send_head(self, head: ResponseHead) -> None:
        """The head of the answer, fields as the client is to get them, without transfer framing."""

    def send_data(self, data: bytes) -> None:
        """Bytes of the answer's body."""

    def finish(self, trailers: Headers) -> None:
        """The answer is whole."""

    def abort(self) -> None:
        """The answer will not be whole: break the connection so that it cannot look so."""

    def flush(self) -> None:
        """Sends what was gathered."""

    def pause_reading(self) -> None:
        """Takes no more of the request for now."""

    def resume_reading(self) -> None:
        """Takes more of the request."""
