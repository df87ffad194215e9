"""One connection to an upstream: moves bytes between its socket, its parser and the call that has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from app.proxy.answer_parser import AnswerParser

if TYPE_CHECKING:
    from app.proxy.call import PooledCall
    from app.proxy.pool import UpstreamPool

WRITE_BUFFER_BYTES = 64 << 10
"""Request bytes that wait for the socket before the sender is told to stop."""


class UpstreamConnection(asyncio.Protocol):
    """Made for a call, idle between calls; a connection that something goes wrong with is aborted, never mended."""

    __slots__ = (
        "_pool",
        "_transport",
        "_waiting_call",
        "answer",
        "call",
        "idle_since_seconds",
        "is_reused",
        "is_write_paused",
        "where",
    )

    def __init__(self, pool: UpstreamPool, where: tuple[str, str, int], call: PooledCall) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self.where = where
        """Scheme, host and port."""
        self._waiting_call: PooledCall | None = call
        self.call: PooledCall | None = None
        """The call whose answer comes next; None when connecting, idle or given up."""
        self.answer = AnswerParser(pool.heads)
        self.is_reused = False
        self.is_write_paused = False
        self.idle_since_seconds = 0.0

    # What the call and the pool do.

    def write(self, data: bytes) -> None:
        """Sends bytes; of a connection that is ending they are dropped, its end is told soon."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Stops reading; harmless if stopped."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads on; harmless if it does."""
        if self._transport is not None:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Closes at once; no call hears of it."""
        self.call = None
        if self._transport is not None:
            self._transport.abort()

    def can_serve(self) -> bool:
        """Nothing is left of the last exchange and the connection stands."""
        transport = self._transport
        return (
            transport is not None
            and not transport.is_closing()
            and not self.is_write_paused
            and transport.get_write_buffer_size() == 0
        )

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP, and TLS if there is any, stand."""
        self._transport = stream = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        stream.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._pool.add(self)
        # Not now: where a transport is aborted within connection_made, uvloop lets the socket object keep the number
        # of a file that it has closed, and collecting the object closes another connection.
        asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        call, self._waiting_call = self._waiting_call, None
        if call is None or self._transport is None:
            return
        if call.task is None:
            self.abort()  # cancelled meanwhile
        elif self._transport.is_closing():
            call.on_unusable()
        else:
            self.call = call
            call.on_connected(self)

    def data_received(self, data: bytes) -> None:
        """One read."""
        call = self.call
        if call is not None:
            self.answer.feed(data)
            call.on_read(self.answer)
        else:
            # Nobody asked: what comes now could pass for the answer to the next request.
            self._pool.drop_idle(self)

    def eof_received(self) -> None:
        """The upstream ended the connection."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._end(exc)
        self.answer.release()
        self._pool.discard(self)

    def pause_writing(self) -> None:
        """The upstream takes no more for now."""
        self.is_write_paused = True
        if self.call is not None:
            self.call.on_write_paused()

    def resume_writing(self) -> None:
        """The upstream takes more."""
        self.is_write_paused = False
        if self.call is not None:
            self.call.on_write_resumed()

    def _end(self, error: Exception | None) -> None:
        call, self.call = self.call, None
        if call is not None:
            call.on_ended(self, error)
        else:
            self._pool.drop_idle(self)
