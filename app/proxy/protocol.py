"""The fast shell: uvicorn's protocol class, taken over for the paths that belong to an upstream.

What it adds to uvicorn: strict parsing, limits and deadlines for heads, pipelining without leniency, back-pressure,
and a drain that lets streams run; answers are written by `wire_client.py`. Requests under no upstream (health,
metrics) go to the FastAPI application as uvicorn would hand them over.
`tests/proxy/test_uvicorn_contract.py` names every attribute of uvicorn's that is used here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, ClassVar, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.clock import monotonic_ns
from app.proxy.answers import BODY_TOO_SLOW, CROWDED, HEAD_TOO_LARGE, HEAD_TOO_SLOW, MALFORMED, error_answer
from app.proxy.context import ProxyContext
from app.proxy.flow import ExchangeFlow
from app.proxy.hangup import has_hung_up
from app.proxy.headers import MAX_FIELDS, MAX_HEAD_BYTES, Refusal, RequestHead
from app.proxy.lingering import Lingering
from app.proxy.plain import start_asgi_cycle
from app.proxy.prepared import PreparedRequest
from app.proxy.turn import Turn
from app.proxy.upstream import Headers
from app.proxy.wire import head_bytes
from app.proxy.wire_client import WireClient
from app.telemetry.logs import event_logger
from app.telemetry.metrics import Slot

_log = event_logger("proxy")
_WRITE_HIGH_WATER_BYTES = 64 << 10
_BY_UPLOAD, _BY_PIPELINE, _BY_UPGRADE = 1, 2, 4


class ExchangeProtocol(HttpToolsProtocol):
    """One client connection: its requests take turns."""

    context: ClassVar[ProxyContext]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn's parser takes data after a message that closes the connection; ours does not.
        self.parser = httptools.HttpRequestParser(self)
        self._turns: deque[Turn] = deque()
        self._target = b""
        self._fields: Headers = []
        self._trailers: Headers = []
        self._is_in_head = False
        self._is_between = True
        """The parser stands between two messages."""
        self._unknown_head = b""
        """The raw head that comes next, if it may be remembered."""
        self._read_bytes = self._quiet_bytes = 0
        """Of this read; and since the last byte of a body, in whole reads."""
        self._is_deaf = False
        """What comes is no request any more, and goes nowhere."""
        self._closes = False
        self._pauses = 0
        self._end: Lingering | None = None
        self._early = b""
        self._is_tunnel = False
        """What comes belongs to another protocol, and passes as it comes."""
        self._is_advancing = False
        self._since_ns = 0
        """When what the connection waits for began: a first byte, the rest of a head, more of a body."""

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast(asyncio.Transport, transport)
        super().connection_made(connection)
        connection.set_write_buffer_limits(high=_WRITE_HIGH_WATER_BYTES)
        self.context.metrics.add(Slot.CLIENT_CONNECTIONS_OPEN)
        self._since_ns = monotonic_ns()
        if len(self.server_state.connections) > self.context.rules.max_connections:
            self._answer_directly(CROWDED)

    def connection_lost(self, exc: Exception | None) -> None:
        self.context.metrics.add(Slot.CLIENT_CONNECTIONS_OPEN, -1)
        super().connection_lost(exc)
        turns, self._turns = self._turns, deque()
        if turns and turns[0].flow is not None:
            turns[0].flow.client_left()

    def data_received(self, data: bytes) -> None:
        if self._is_tunnel or self._is_deaf or self._end is not None:
            self._receive_other(data)
            return
        if not self._is_in_head:
            self._since_ns = monotonic_ns()
        if self._is_between and not self._turns and not self.flow.write_paused:
            known = self.context.heads.find(data)
            if known is not None:
                self._start_known(*known)
                return
            self._unknown_head = self.context.heads.unknown
        self._read_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # What follows is no HTTP, whether or not the upstream changes the protocol.
            self._closes = self._is_deaf = True
            self._await_tunnel(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            _log.exception("parser_callback_failed", error)
            self.transport.abort()
            return
        except httptools.HttpParserError:
            self._break_off(MALFORMED)
            return
        self._quiet_bytes += len(data)
        if self._quiet_bytes > MAX_HEAD_BYTES:
            self._break_off(HEAD_TOO_LARGE)
            return
        self._flush_flow()

    def _receive_other(self, data: bytes) -> None:
        """What comes is no request: it passes through a tunnel, or is thrown away."""
        if self._end is not None:
            self._end.receive(len(data))
        elif self._is_tunnel and self._turns and (flow := self._turns[0].flow) is not None:
            flow.request_data(data)
            flow.flush()

    def _await_tunnel(self, data: bytes) -> None:
        """No more is read until the upstream has answered; what came with the request waits as long."""
        if self._turns and self._turns[-1].is_upgrade:
            self._early = data
            self._pause(_BY_UPGRADE)

    def open_tunnel(self) -> None:
        """The upstream changes the protocol: from now on all passes as it comes."""
        self._is_tunnel = True
        if self._early:
            self._receive_other(self._early)
        self._resume(_BY_UPGRADE)

    def _start_known(self, prepared: PreparedRequest, length_digits: bytes, body: bytes) -> None:
        """One whole request whose head was parsed before, byte for byte."""
        turn = Turn(prepared.head)
        turn.is_started = turn.is_complete = True
        self._turns.append(turn)
        flow = turn.flow = ExchangeFlow(
            self.context, WireClient(self, prepared.head), prepared, length_digits
        )
        flow.begin()
        if body:
            flow.request_data(body)
        flow.request_end([])
        flow.flush()

    def _flush_flow(self) -> None:
        if self._turns and (flow := self._turns[0].flow) is not None:
            flow.flush()

    def _break_off(self, refusal: Refusal) -> None:
        """What comes is no request any more: answered where no answer is under way, then the connection ends."""
        self._closes = self._is_deaf = True
        self._is_in_head = False
        turn = self._turns[-1] if self._turns else None
        if self._end is not None or self.transport.is_closing():
            # What came before it, in the same read, was answered as the last.
            return
        if turn is None:
            self._answer_directly(refusal)
        elif turn.flow is not None and not turn.is_complete:
            turn.flow.request_broken(refusal)
        else:
            # The request that runs is whole and gets its answer; what came after it gets none.
            self._flush_flow()

    def _answer_directly(self, refusal: Refusal) -> None:
        body, head = error_answer(refusal.status, refusal.code, refusal.message, refusal.param)
        self.transport.write(head_bytes(head.status_line.sent, head.passed, b"connection: close") + body)
        self._start_lingering()

    # Parser callbacks.

    def on_message_begin(self) -> None:
        self._target = b""
        self._fields = []
        self._trailers = []
        self._is_in_head = True
        self._is_between = False

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        fields = self._fields if self._is_in_head else self._trailers
        if len(fields) <= MAX_FIELDS:
            fields.append((name, value))

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._end is not None or self.transport.is_closing():
            # The request before it, in the same read, ended the connection.
            return
        parser = self.parser
        head = RequestHead(
            parser.get_method(), self._target, parser.get_http_version().encode(), self._fields
        )
        self._turns.append(Turn(head))
        if len(self._turns) == 1 and not self.flow.write_paused:
            self._start(self._turns[0])
        else:
            self._pause(_BY_PIPELINE)
        self._unknown_head = b""

    def on_body(self, body: bytes) -> None:
        self._quiet_bytes = -self._read_bytes
        turn = self._turns[-1] if self._turns else None
        if turn is None or turn.is_complete:
            return
        if turn.flow is not None:
            turn.flow.request_data(body)
        elif not turn.is_started:
            turn.body.append(body)

    def on_message_complete(self) -> None:
        self._is_between = True
        self._quiet_bytes = -self._read_bytes
        turn = self._turns[-1] if self._turns else None
        if turn is None or turn.is_complete or turn.is_upgrade:
            return
        turn.is_complete = True
        turn.trailers = self._trailers
        if turn.flow is not None:
            turn.flow.request_end(turn.trailers)

    # Turns.

    def _start(self, turn: Turn) -> None:
        turn.is_started = True
        head = turn.head
        upstream = self.context.rules.upstream_of(head.target) if head.target[:1] == b"/" else None
        if head.refusal is not None or not head.keep_alive:
            self._closes = True
        if upstream is None:
            if head.refusal is not None:
                self._turns.clear()
                self._answer_directly(head.refusal)
            else:
                self.cycle = start_asgi_cycle(
                    self, head, keep_alive=not self._closes, on_response=self.on_response_complete
                )
            return
        prepared = PreparedRequest(head, upstream, self.context.rules, self.context.redactor)
        if self._unknown_head and prepared.is_plain:
            self.context.heads.remember(self._unknown_head, prepared)
        turn.flow = flow = ExchangeFlow(self.context, WireClient(self, head), prepared)
        flow.begin()
        for data in turn.body:
            flow.request_data(data)
        turn.body.clear()
        if turn.is_complete:
            flow.request_end(turn.trailers)

    def on_response_complete(self) -> None:
        """The application answered a plain request."""
        self.server_state.total_requests += 1
        self._end_turn()

    def _end_turn(self) -> None:
        if not self._turns:
            return
        turn = self._turns.popleft()
        if self.transport.is_closing():
            return
        if turn.head.refusal is not None or (not turn.is_complete and turn.flow is not None):
            self._start_lingering()
        elif self._closes:
            # The answer said so: requests that wait were never begun, their client sends them again.
            self._turns.clear()
            self.transport.close()
        else:
            self._since_ns = monotonic_ns()
            self._resume(_BY_UPLOAD)  # nobody else does, where the upstream answered before it took all
            self._advance()

    def _advance(self) -> None:
        """Runs what waited; a request that is answered at once makes way for the next without recursion."""
        if self._is_advancing:
            return
        self._is_advancing = True
        try:
            while self._turns and not self._turns[0].is_started and self._may_start():
                self._start(self._turns[0])
                self._flush_flow()
        finally:
            self._is_advancing = False
        if not self._turns or (len(self._turns) == 1 and self._turns[0].is_started):
            self._resume(_BY_PIPELINE)

    def _may_start(self) -> bool:
        """False while the client leaves earlier answers unread: they would gather here."""
        return not self.transport.is_closing() and not self.flow.write_paused

    # Back-pressure, both ways.

    def on_answered(self, *, is_broken: bool) -> None:
        """The answer of the running exchange was handed to the transport, whole or broken."""
        if not is_broken:
            self._end_turn()

    def pause_upload(self) -> None:
        """The upstream takes no more of the request for now."""
        self._pause(_BY_UPLOAD)

    def resume_upload(self) -> None:
        """The upstream takes more of the request."""
        self._resume(_BY_UPLOAD)

    def _pause(self, reason: int) -> None:
        if not self._pauses and not self.transport.is_closing():
            self.transport.pause_reading()
        self._pauses |= reason

    def _resume(self, reason: int) -> None:
        if self._pauses == reason and not self.transport.is_closing():
            self.transport.resume_reading()
            self._since_ns = monotonic_ns()
        self._pauses &= ~reason

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._turns and (flow := self._turns[0].flow) is not None:
            flow.client_paused()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._turns and (flow := self._turns[0].flow) is not None:
            flow.client_resumed()
        self._advance()

    # Ends, deadlines, drain.

    def _start_lingering(self) -> None:
        """The answer is out but the client still sends."""
        self._turns.clear()
        self._end = Lingering(self.transport, monotonic_ns())
        self._end.begin()
        if self._pauses and not self.transport.is_closing():
            self._pauses = 0
            self.transport.resume_reading()

    def settle_close(self) -> bool:
        """True where no request after the running one will be answered here; once told, it stays so."""
        if self.context.is_draining or not self._turns or not self._turns[0].is_complete:
            self._closes = True
        return self._closes

    def check(self, now_ns: int) -> None:
        """Called about once a second: ends what waited too long, and sees a client that left while it was not read."""
        if self._end is None and self.transport.is_closing():
            self._end = Lingering(self.transport, now_ns)
        if self._end is not None:
            self._end.check(now_ns, self.context.rules.body_idle_seconds)
        elif self._pauses:
            if has_hung_up(self.transport):
                self.transport.abort()
        elif not self._is_tunnel:
            self._check_deadlines((now_ns - self._since_ns) / 1e9)

    def _check_deadlines(self, waited_seconds: float) -> None:
        rules = self.context.rules
        if self._is_in_head:
            if waited_seconds > rules.head_seconds:
                self._break_off(HEAD_TOO_SLOW)
        elif not self._turns:
            if waited_seconds > rules.keepalive_seconds or self.context.is_draining:
                self.transport.close()
        elif not self._turns[-1].is_complete and waited_seconds > rules.body_idle_seconds:
            self._break_off(BODY_TOO_SLOW)

    def shutdown(self) -> None:
        """The drain begins: idle connections close now, the others after the answer under way."""
        self._closes = True
        if not self._turns and self._end is None:
            self.transport.close()

    def stop(self) -> None:
        """The drain is over: what still runs is cut."""
        if self._turns and (flow := self._turns[0].flow) is not None:
            flow.stop()
        if not self.transport.is_closing():
            self.transport.abort()
