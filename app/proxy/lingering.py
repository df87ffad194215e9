"""The last seconds of a client's connection whose answer is out while the client still sends.

Closing at once would reset the connection before the client has read the answer (RFC 9112, section 9.6): so the
sending side is closed, and what comes is read and thrown away, a little of it, for a short while.
"""

from __future__ import annotations

import asyncio

_MOST_BYTES = 1 << 20
_SECONDS = 2.0


class Lingering:
    """How a connection that takes no more requests comes to its end."""

    __slots__ = ("_changed_ns", "_received_bytes", "_transport", "_unsent_bytes")

    def __init__(self, transport: asyncio.Transport, now_ns: int) -> None:
        self._transport = transport
        self._received_bytes = 0
        self._unsent_bytes = -1
        self._changed_ns = now_ns

    def begin(self) -> None:
        """Closes the sending side; where that cannot be (TLS), all of it."""
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:
            # The client is gone already.
            self._transport.abort()

    def receive(self, size_bytes: int) -> None:
        """Something came."""
        self._received_bytes += size_bytes
        if self._received_bytes > _MOST_BYTES:
            self._transport.abort()

    def check(self, now_ns: int, idle_seconds: float) -> None:
        """Ends it when the client has read nothing for `idle_seconds`, or has read all and does not close."""
        unsent_bytes = self._transport.get_write_buffer_size()
        if unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._changed_ns = unsent_bytes, now_ns
        elif now_ns - self._changed_ns > (idle_seconds if unsent_bytes else _SECONDS) * 1e9:
            self._transport.abort()
