"""The listener of one worker: served until SIGTERM, then drained."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from app.clock import monotonic_ns
from app.proxy.context import ProxyContext
from app.proxy.protocol import ExchangeProtocol
from app.telemetry.logs import event_logger
from app.telemetry.metrics import Slot

_log = event_logger("proxy")
_TICKS_A_SECOND = 10
_ABORT_GRACE_SECONDS = 1.0
_GC_OBJECTS = 10_000
"""Exchanges leave hardly a cycle behind; looking for them among those of five thousand streams took 80 ms at a time."""


@dataclass(frozen=True, slots=True)
class ServerRules:
    """The settings of the listener."""

    drain_seconds: float = 120.0
    tls_cert: str | None = None
    tls_key: str | None = None
    uses_fast_shell: bool = True


class WorkerServer(uvicorn.Server):
    """uvicorn's server with a drain that lets exchanges run, deadlines that are looked at once a second, and gauges."""

    def __init__(self, config: uvicorn.Config, context: ProxyContext, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._context = context
        self._drain_seconds = drain_seconds
        self._last_tick_ns = 0
        self._unchecked: list[asyncio.Protocol] = []
        """Connections that are left of this round of checks."""
        self._share = 0
        """How many are checked at each tick."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM or SIGINT begins the drain, a second one ends it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.begin_drain)
        yield

    def begin_drain(self) -> None:
        """Not ready any more, no new connections; exchanges under way run on for DRAIN_SECONDS."""
        self.force_exit = self._context.is_draining
        self._context.is_draining = True
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        now_ns = monotonic_ns()
        if self._last_tick_ns:
            lag_us = (now_ns - self._last_tick_ns) // 1000 - 1_000_000 // _TICKS_A_SECOND
            if lag_us > self._context.metrics.get(Slot.EVENT_LOOP_LAG_MAX_US):
                self._context.metrics.set(Slot.EVENT_LOOP_LAG_MAX_US, lag_us)
        self._last_tick_ns = now_ns
        if counter % _TICKS_A_SECOND == 0:
            self._begin_round()
            self._context.publish_gauges()
        self._check_some(now_ns)
        return await super().on_tick(counter)

    def _begin_round(self) -> None:
        """From here on all connections are checked, within a second."""
        self._unchecked = list(self.server_state.connections)
        self._share = -(-len(self._unchecked) // _TICKS_A_SECOND)

    def _check_some(self, now_ns: int) -> None:
        """A tenth of the connections: several thousand at once would hold up every stream."""
        share, self._unchecked = self._unchecked[: self._share], self._unchecked[self._share :]
        for connection in share:
            is_there = connection in self.server_state.connections
            if is_there and isinstance(connection, ExchangeProtocol):
                try:
                    connection.check(now_ns)
                except Exception as error:  # noqa: BLE001 - one connection's fault must not end the others' deadlines
                    _log.exception("check_failed", error)
                    connection.stop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """The drain: everything that ends in time ends whole, the rest is cut and recorded as `proxy_stopped`."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline_ns = monotonic_ns() + int(self._drain_seconds * 1e9)
        while self._is_busy() and monotonic_ns() < deadline_ns and not self.force_exit:
            await asyncio.sleep(0.05)
            if not self._unchecked:
                self._begin_round()
            self._check_some(monotonic_ns())
        cut = len(self._context.flows)
        for connection in list(self.server_state.connections):
            if isinstance(connection, ExchangeProtocol):
                connection.stop()
        for flow in list(self._context.flows):
            # An exchange whose client has left already, read to its end for the record.
            flow.stop()
        deadline_ns = monotonic_ns() + int(_ABORT_GRACE_SECONDS * 1e9)
        while self.server_state.connections and monotonic_ns() < deadline_ns:
            await asyncio.sleep(0.01)
        _log.info("drained", cut_exchanges=cut)

    def _is_busy(self) -> bool:
        """Exchanges whose client has left but that are read to their end have no connection."""
        return bool(self.server_state.connections or self._context.flows)


def server_config(context: ProxyContext, application: ASGIApp, rules: ServerRules) -> uvicorn.Config:
    """uvicorn's settings for a worker: nothing of its own between a client and the flow."""
    return uvicorn.Config(
        application,
        http=protocol_class(context) if rules.uses_fast_shell else "httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        ssl_certfile=rules.tls_cert,
        ssl_keyfile=rules.tls_key,
    )


async def serve(
    context: ProxyContext, sockets: list[socket.socket], application: ASGIApp, rules: ServerRules
) -> None:
    """Serves on the listening sockets until SIGTERM, then drains."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    config = server_config(context, application, rules)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS, 50, 100)
    await WorkerServer(config, context, drain_seconds=rules.drain_seconds).serve(sockets=sockets)


def protocol_class(context: ProxyContext) -> type[ExchangeProtocol]:
    """The protocol class bound to one worker's context, as uvicorn wants a class."""
    return cast(
        type[ExchangeProtocol], type("BoundExchangeProtocol", (ExchangeProtocol,), {"context": context})
    )
