"""One exchange from its request head to its outcome: the first file to read. No socket, no event loop.

A shell (protocol.py, asgi.py) tells the flow what the client does and offers itself as `ClientSide`; the upstream pool
tells it what the upstream does. The flow keeps the one rule everything rests on: what arrives is staged for the
journal, the sluice has it written, and only then do the bytes go on (`send`, `deliver`).

It ends once, in one outcome, in `_end`; after that nothing that either side does matters.
"""

from __future__ import annotations

from app.exchange import Outcome
from app.proxy.admission import admission, size_refusal
from app.proxy.answer_heads import head_of
from app.proxy.answers import error_answer, outcome_of
from app.proxy.client import ClientSide
from app.proxy.context import ProxyContext
from app.proxy.headers import Refusal, without_own
from app.proxy.prepared import PreparedRequest
from app.proxy.tee import Tee
from app.proxy.upstream import (
    SWITCHING_PROTOCOLS,
    FailureKind,
    Headers,
    ResponseHead,
    StatusLine,
    UpstreamCall,
    UpstreamFailure,
)
from app.telemetry.logs import event_logger
from app.telemetry.metrics import Slot

_log = event_logger("proxy")
_MOST_HELD_PIECES = 8
"""Reads of the upstream, of at most 256 KiB each, that may wait to go to the client."""
_END_SECONDS = 0.25
"""How long the end of an answer may come after a client that has all of its body."""
_OUTCOME_SLOTS = {outcome.value: int(Slot[outcome.name]) for outcome in Outcome}
_ACCEPTED, _IN_FLIGHT = int(Slot.EXCHANGES_ACCEPTED), int(Slot.EXCHANGES_IN_FLIGHT)
_REQUEST_BYTES, _RESPONSE_BYTES = int(Slot.REQUEST_BYTES), int(Slot.RESPONSE_BYTES)


class ExchangeFlow:
    """All rules of one exchange. The shell calls `begin`, then the `request_…` methods, and `flush` after each read."""

    __slots__ = (
        "_answer",
        "_call",
        "_client",
        "_client_has_left",
        "_context",
        "_is_awaiting_end",
        "_is_broken",
        "_is_client_paused",
        "_is_closed",
        "_is_holding",
        "_is_request_complete",
        "_is_tunnel",
        "_length_digits",
        "_outbound",
        "_passed",
        "_prepared",
        "_refusal",
        "_request",
        "_request_trailers",
        "_response_trailers",
        "_tee",
        "_upload",
        "is_done",
    )

    def __init__(
        self, context: ProxyContext, client: ClientSide, request: PreparedRequest, length_digits: bytes = b""
    ) -> None:
        """`length_digits` is the request's Content-Length where it is not the one that was prepared."""
        self._context = context
        self._client = client
        self._prepared = request
        self._request = request.head
        self._length_digits = length_digits or request.length_digits
        self._tee = Tee(context)
        self._call: UpstreamCall | None = None
        self._refusal: Refusal | None = None
        self._upload: list[bytes] = []
        self._is_request_complete = False
        self._is_tunnel = False
        self._request_trailers: Headers | None = None
        self._answer: ResponseHead | None = None
        self._outbound: list[ResponseHead | bytes] = []  # heads, 1xx included, and pieces of the body
        self._passed = 0  # so many of them went to the client
        self._response_trailers: Headers | None = None
        self._is_broken = False
        self._is_closed = False
        self._is_client_paused = False
        self._is_holding = False
        self._client_has_left = False
        self._is_awaiting_end = False
        self.is_done = False

    # What the client does, told by the shell.

    def begin(self) -> None:
        """Accepts the request head; what is refused is answered at the next flush."""
        context = self._context
        context.flows.add(self)
        context.metrics.add(_ACCEPTED)
        context.metrics.add(_IN_FLIGHT)
        try:
            self._refusal = self._prepared.refusal or admission(
                self._context, int(self._length_digits or b"0")
            )
            self._tee.begin(self._prepared, self._length_digits)
        except Exception as error:  # noqa: BLE001 - root of what a request head sets off: any fault ends one exchange
            self.fail(error)

    def request_data(self, data: bytes) -> None:
        """Bytes of the request's body."""
        if self.is_done:
            return
        self._tee.request_chunk(data)
        self._upload.append(data)
        if self._refusal is None and not self._is_tunnel:
            self._refusal = size_refusal(self._context.rules, self._tee.request_bytes)

    def request_end(self, trailers: Headers) -> None:
        """The request is whole."""
        self._is_request_complete = True
        self._request_trailers = without_own(trailers)

    def request_broken(self, refusal: Refusal) -> None:
        """What the client sends is no valid request any more, or comes too late; flushes by itself."""
        if not self.is_done:
            self._refusal = refusal
            self.flush()

    def flush(self) -> None:
        """What one read of the client brought is told: it goes on once it is written."""
        if self.is_done:
            return
        if self._refusal is None:
            self._context.sluice.send(self)
            return
        try:
            self._refuse(self._refusal)
        except Exception as error:  # noqa: BLE001 - root of what a client's bytes set off: any fault ends one exchange
            self.fail(error)

    def client_left(self) -> None:
        """The client's connection is gone."""
        if self.is_done or self._client_has_left:
            return
        self._client_has_left = True
        call, answer = self._call, self._answer
        if call is not None and self._is_request_complete and self._context.rules.drain_on_abort:
            # The answer is read to its end for the record.
            self._is_holding = False
            self._outbound.clear()
            call.resume_reading()
        elif answer is None or answer.length_bytes is not None or self._outbound or self._is_client_paused:
            self._leave()
        else:
            # Programs close when they have read the last event, and what ends the framing may be an instant away.
            self._is_awaiting_end = True
            self._context.later(_END_SECONDS, self._leave)

    def _leave(self) -> None:
        if not self.is_done:
            try:
                self._end(Outcome.CLIENT_LEFT, None, None)
            finally:
                self._close()
            self._context.sluice.deliver(self)

    def client_paused(self) -> None:
        """The client takes no more bytes for now."""
        self._is_client_paused = True
        if self._call is not None and not self._client_has_left:
            self._call.pause_reading()

    def client_resumed(self) -> None:
        """The client takes bytes again."""
        self._is_client_paused = False
        if self._call is not None and not self._is_holding:
            self._call.resume_reading()

    def stop(self) -> None:
        """The worker stops: the exchange is cut and recorded as such."""
        if self.is_done:
            return
        if self._is_awaiting_end:
            self._leave()
        else:
            self._is_broken = True
            self._end(Outcome.PROXY_STOPPED, "drain", "the proxy was stopped before the answer was whole")
            self._context.sluice.deliver(self)
        self._context.sluice.open()

    # What the upstream does, told by the pool (ResponseHandler).

    def on_sent(self) -> None:
        """The request is on its way; a client that waits for 100 Continue may send its body."""
        if self._request.expects_continue and not self._is_request_complete and not self._client_has_left:
            self._client.send_continue()

    def on_retry(self, detail: str) -> None:
        """Noted in the journal."""
        self._context.metrics.add(Slot.UPSTREAM_RETRIES)
        self._tee.note("retried", detail)

    def on_informational(self, status: int, reason: bytes, headers: Headers) -> None:
        """1xx answers pass; our own 100 Continue was sent already."""
        if status != 100 and self._request.version == b"1.1" and not self._client_has_left:
            head = head_of(StatusLine(status, reason, b"1.1"), headers, None, chunked=False, bodyless=True)
            self._outbound.append(head)

    def on_head(self, head: ResponseHead) -> None:
        """The answer begins; with 101 both sides speak another protocol from here on, which passes as it comes."""
        self._answer = head
        self._is_tunnel = head.status == SWITCHING_PROTOCOLS
        self._tee.answer_head(head)
        if not self._client_has_left:
            self._outbound.append(head)

    def on_data(self, data: bytes) -> None:
        """The answer goes on."""
        if self._is_awaiting_end:
            self._leave()
            return
        self._tee.response_chunk(data)
        if self._client_has_left:
            return
        self._outbound.append(data)
        if len(self._outbound) > _MOST_HELD_PIECES and self._call is not None:
            # Only where the disk is waited for (fsync `always`) does more than one read gather here.
            self._is_holding = True
            self._call.pause_reading()

    def on_complete(self, trailers: Headers) -> None:
        """The answer is whole; a tunnel ends so, too."""
        self._response_trailers = trailers
        self._is_request_complete = self._is_request_complete or self._request.upgrade is not None
        has_all = self._is_awaiting_end or not self._client_has_left
        self._end(Outcome.COMPLETED if has_all else Outcome.CLIENT_LEFT, None, None)

    def on_failed(self, failure: UpstreamFailure) -> None:
        """The answer is not whole and will not be; or what it set off here failed at its very end."""
        if self.is_done:
            self._abandon()
            return
        outcome = Outcome.CLIENT_LEFT if self._client_has_left else outcome_of(failure.kind)
        status = 504 if failure.kind is FailureKind.CONNECT_TIMEOUT else 502
        try:
            self._break(status, f"upstream_{failure.kind.value}", failure.detail)
            self._end(outcome, failure.kind.value, failure.detail)
        except Exception as error:  # noqa: BLE001 - root of what an upstream's end sets off: any fault ends one exchange
            self.fail(error)

    def on_flush(self) -> None:
        """What one read of the upstream brought is told: it goes on once it is written."""
        self._context.sluice.deliver(self)

    def on_upload_paused(self) -> None:
        """The upstream takes no more of the request for now."""
        self._client.pause_reading()

    def on_upload_resumed(self) -> None:
        """The upstream takes more of the request."""
        self._client.resume_reading()

    # What is written goes on, when the sluice says so.

    def send(self) -> None:
        """What came of the request goes to the upstream."""
        if self.is_done:
            return
        if (call := self._call) is None:
            self._start_call()
            return
        for data in self._upload:
            call.send(data)
        self._upload.clear()
        if self._is_request_complete:
            call.finish(self._request_trailers or [])

    def staged(self) -> int:
        """How much of the answer is staged by now, its end included: a measure for `deliver`."""
        return self._passed + len(self._outbound) + self.is_done

    def deliver(self, until: int | None = None) -> None:
        """What came of the answer goes to the client; no more than was `staged` at some time, if that is given."""
        if self._is_closed:
            return
        if self._client_has_left:
            if self.is_done:
                self._close()
            return
        waiting = len(self._outbound)
        count = waiting if until is None else min(waiting, until - self._passed)
        is_end = self.is_done and (until is None or until > self._passed + waiting)
        if count > 0:
            self._answer_client(count)
        if not is_end:
            self._client.flush()
            return
        # First, since the end of this exchange may be the beginning of the next.
        self._close()
        if self._is_broken:
            self._client.abort()
        else:
            self._client.finish(self._response_trailers or [])

    def _start_call(self) -> None:
        upload, self._upload = self._upload, []
        body = upload[0] if len(upload) == 1 else b"".join(upload)
        is_whole = self._is_request_complete and not self._request_trailers
        self._call = self._prepared.start(
            self._context.client, self._length_digits, body, is_whole=is_whole, handler=self
        )
        if self._is_request_complete and self._request_trailers:
            self._call.finish(self._request_trailers)

    def _answer_client(self, count: int) -> None:
        client, outbound = self._client, self._outbound
        self._outbound = outbound[count:]
        self._passed += count
        for part in outbound[:count]:
            if not isinstance(part, ResponseHead):
                client.send_data(part)
            elif part is self._answer:
                client.send_head(part, self._tee.public_id())
            else:
                client.send_informational(part, self._tee.public_id())
        if self._is_holding and len(self._outbound) <= _MOST_HELD_PIECES:
            self._is_holding = False
            if self._call is not None and not self._is_client_paused:
                self._call.resume_reading()

    # The rules.

    def _refuse(self, refusal: Refusal) -> None:
        self._break(refusal.status, refusal.code, refusal.message, refusal.param)
        self._end(Outcome.REFUSED, refusal.code, refusal.message)
        self._context.sluice.deliver(self)

    def _break(self, status: int, code: str, message: str, param: str | None = None) -> None:
        """No answer will be whole but one of our own, staged like the upstream's: it is always on record."""
        if self._answer is not None:
            self._is_broken = True
            return
        body, head = error_answer(
            status, code, message, param, is_head_request=self._request.method == b"HEAD"
        )
        self.on_head(head)
        if not head.bodyless:
            self.on_data(body)
        self._response_trailers = []

    def fail(self, error: Exception) -> None:
        """A fault of our own: this exchange ends honestly, the worker goes on."""
        _log.exception("exchange_failed", error)
        try:
            if not self.is_done:
                self._break(500, "proxy_failed", "Verbatim failed while it handled this call; see its log")
                self._end(Outcome.PROXY_FAILED, type(error).__name__, None)
                self._context.sluice.deliver(self)
                return
        except Exception as again:  # noqa: BLE001 - root of the handling of faults: not even this may hang a client
            _log.exception("exchange_failed_twice", again)
        self._abandon()

    def _abandon(self) -> None:
        """It is over but for the delivery: what the client has must not pass for whole."""
        self.is_done = True
        self._close()
        self._client.abort()

    def _end(self, outcome: Outcome, reason: str | None, detail: str | None) -> None:
        self.is_done = True
        if self._call is not None:
            # Nothing may be told any more: it would stand behind the end.
            self._call.cancel()
        self._tee.end(
            outcome,
            reason,
            detail,
            request_complete=self._is_request_complete,
            trailers=self._response_trailers,
        )
        metrics = self._context.metrics
        metrics.add(_OUTCOME_SLOTS[outcome.value])
        metrics.add(_REQUEST_BYTES, self._tee.request_bytes)
        metrics.add(_RESPONSE_BYTES, self._tee.response_bytes)

    def _close(self) -> None:
        """After the end: the count goes down."""
        if not self._is_closed:
            self._is_closed = True
            self._context.flows.discard(self)
            self._context.metrics.add(_IN_FLIGHT, -1)
