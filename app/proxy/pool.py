"""Keep-alive connections to upstreams (UpstreamClient).

A call takes the idle connection that was used last, or has one made for it alone. There is no limit on connections
and so nothing to wait for, to leak or to hand back: how many there can be is bounded by MAX_INFLIGHT.

call.py            one request and its answer
connection.py      one socket
answer_parser.py   bytes to answers; dial.py makes connections
"""

from __future__ import annotations

import asyncio
import ssl

from app.clock import monotonic_ns
from app.proxy.answer_heads import AnswerHeads
from app.proxy.call import PooledCall
from app.proxy.connection import UpstreamConnection
from app.proxy.dial import Dial, DialError, dial
from app.proxy.upstream import FailureKind, ResponseHandler, Upstream
from app.telemetry.tasks import spawn

Where = tuple[str, str, int]


class UpstreamPool:
    """All connections of one worker to its upstreams; lives on one event loop."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None,
        connect_timeout_seconds: float = 10.0,
        keepalive_seconds: float = 30.0,
        dial: Dial = dial,
    ) -> None:
        self.heads = AnswerHeads()
        """What is known of the lines of answers' heads."""
        self.opened = 0
        """Connections made so far."""
        self.reused = 0
        """Calls that went out on an idle connection."""
        self.retries = 0
        self.open = 0
        """Connections that stand now; `idle` of them wait for a call."""
        self.idle = 0
        self._tls = tls
        self._connect_timeout_seconds = connect_timeout_seconds
        self._keepalive_seconds = keepalive_seconds
        self._dial = dial
        # The last used is the last in its dict, and taken first.
        self._idle: dict[Where, dict[UpstreamConnection, None]] = {}
        self._connections: set[UpstreamConnection] = set()
        self._attempts: dict[PooledCall, asyncio.Task[None]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._all_closed = asyncio.Event()
        self._is_closed = False

    def start(
        self,
        upstream: Upstream,
        method: bytes,
        head: bytes,
        body: bytes = b"",
        *,
        chunked: bool,
        is_whole: bool = False,
        upgrades: bool = False,
        handler: ResponseHandler,
    ) -> PooledCall:
        """Sends a request head and what there is of its body (UpstreamClient)."""
        call = PooledCall(self, upstream, method, chunked=chunked, upgrades=upgrades, handler=handler)
        call.begin(head, body, self._take_idle(call.where), is_whole=is_whole)
        return call

    async def aclose(self) -> None:
        """Ends every call and closes every connection; returns when all sockets are closed."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        attempts = dict(self._attempts)
        for connection in list(self._connections):
            if connection.call is not None:
                connection.call.fail(FailureKind.CLOSED, "the connections to upstreams were closed")
            connection.abort()
        for call in attempts:
            call.fail(FailureKind.CLOSED, "the connections to upstreams were closed")
        await asyncio.gather(*attempts.values(), return_exceptions=True)
        while self._connections:
            self._all_closed.clear()
            await self._all_closed.wait()

    # What calls do.

    def connect(self, call: PooledCall) -> None:
        """Has a connection made for this call."""
        if self._is_closed:
            asyncio.get_running_loop().call_soon(
                call.fail, FailureKind.CLOSED, "the connections to upstreams were closed"
            )
            return
        task = spawn(self._connect(call), name="upstream_connect")
        call.task = self._attempts[call] = task
        task.add_done_callback(lambda _: self._attempts.pop(call, None))

    async def _connect(self, call: PooledCall) -> None:
        connection = UpstreamConnection(self, call.where, call)
        try:
            await self._dial(
                call.upstream, connection, tls=self._tls, timeout_seconds=self._connect_timeout_seconds
            )
        except DialError as error:
            self._undo(connection)
            call.fail(error.failure.kind, error.failure.detail)
        except asyncio.CancelledError:
            self._undo(connection)
            raise
        except Exception:
            self._undo(connection)
            call.fail(FailureKind.INTERNAL, "Verbatim failed while it connected to the upstream; see its log")
            raise

    def _undo(self, connection: UpstreamConnection) -> None:
        connection.abort()
        self.discard(
            connection
        )  # uvloop does not tell of the end of a connection whose making was cancelled late

    def put_idle(self, connection: UpstreamConnection) -> None:
        """Keeps a connection for the next call."""
        if self._is_closed or self._keepalive_seconds <= 0:
            connection.abort()
            return
        connection.idle_since_seconds = monotonic_ns() / 1e9
        self._idle.setdefault(connection.where, {})[connection] = None
        self.idle += 1
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._keepalive_seconds, self._sweep)

    # What connections do.

    def add(self, connection: UpstreamConnection) -> None:
        """A connection stands."""
        self.opened += 1
        self.open += 1
        self._connections.add(connection)

    def drop_idle(self, connection: UpstreamConnection) -> None:
        """Closes a connection that ended or spoke while no call had it."""
        if self._idle.get(connection.where, {}).pop(connection, connection) is None:
            self.idle -= 1
        connection.abort()

    def discard(self, connection: UpstreamConnection) -> None:
        """A connection is closed; harmless if it never stood."""
        if connection in self._connections:
            self._connections.discard(connection)
            self.open -= 1
            if not self._connections:
                self._all_closed.set()

    def _take_idle(self, where: Where) -> UpstreamConnection | None:
        idle = self._idle.get(where)
        if not idle:
            return None
        oldest_seconds = monotonic_ns() / 1e9 - self._keepalive_seconds
        while idle:
            connection, _ = idle.popitem()
            self.idle -= 1
            if connection.idle_since_seconds > oldest_seconds and connection.can_serve():
                self.reused += 1
                return connection
            connection.abort()
        return None

    def _sweep(self) -> None:
        """Closes what was idle for too long; one timer for all connections."""
        now_seconds = monotonic_ns() / 1e9
        oldest_seconds = now_seconds - self._keepalive_seconds
        for where, connections in list(self._idle.items()):
            for connection in list(connections):
                if connection.idle_since_seconds > oldest_seconds:
                    break
                self.drop_idle(connection)
            if not connections:
                del self._idle[where]
        since = [next(iter(connections)).idle_since_seconds for connections in self._idle.values()]
        self._sweeper = None
        if since:
            wait_seconds = max(0.0, min(since) + self._keepalive_seconds - now_seconds)
            self._sweeper = asyncio.get_running_loop().call_later(wait_seconds, self._sweep)
