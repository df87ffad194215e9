"""One request of a client's connection, from its place in the line on."""

from __future__ import annotations

from app.proxy.flow import ExchangeFlow
from app.proxy.headers import RequestHead
from app.proxy.upstream import Headers


class Turn:
    """One request of a connection: the first in line runs, the others wait (pipelining)."""

    __slots__ = ("body", "flow", "head", "is_complete", "is_started", "is_upgrade", "trailers")

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.flow: ExchangeFlow | None = None
        self.is_started = False
        self.is_complete = False
        self.is_upgrade = head.upgrade is not None and head.refusal is None
        """What follows the head is no body: it waits until the upstream has changed the protocol."""
        self.body: list[bytes] = []
        self.trailers: Headers = []
