"""The client as an exchange sees it."""

from __future__ import annotations

from typing import Protocol

from app.proxy.upstream import Headers, ResponseHead


class ClientSide(Protocol):
    """The client as the flow sees it; head and data gather until `flush`, `finish` or `abort`."""

    def send_continue(self) -> None:
        """100 Continue, at once: the client waits for it before it sends the body."""

    def send_informational(self, head: ResponseHead, exchange_id: bytes) -> None:
        """A 1xx answer."""

    def send_head(self, head: ResponseHead, exchange_id: bytes) -> None:
        """The head of the answer: the fields that pass, and the exchange's id as text."""

    def send_data(self, data: bytes) -> None:
        """Bytes of the answer's body."""

    def flush(self) -> None:
        """Sends what was gathered."""

    def finish(self, trailers: Headers) -> None:
        """Sends it; the answer is whole."""

    def abort(self) -> None:
        """Sends it; the answer will not be whole: break the connection so that it cannot look so."""

    def pause_reading(self) -> None:
        """Takes no more of the request for now."""

    def resume_reading(self) -> None:
        """Takes more of the request."""
