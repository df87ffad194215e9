"""One exchange from its request head to its outcome: the first file to read. No socket, no event loop.

A shell (protocol.py, asgi.py) tells the flow what the client does and offers itself as `ClientSide`; the upstream pool
tells it what the upstream does. The flow keeps the one rule everything rests on: what arrives is staged for the
journal, the journal is flushed, and only then do the bytes go on. One read of a socket is one flush.

It ends once, in one outcome, in `_end`; after that nothing that either side does matters.
"""

from __future__ import annotations

from app.exchange import Outcome
from app.proxy.answers import error_answer
from app.proxy.client import ClientSide
from app.proxy.context import ProxyContext
from app.proxy.headers import Refusal, response_headers
from app.proxy.held import HeldClient
from app.proxy.prepared import PreparedRequest
from app.proxy.tee import Tee
from app.proxy.upstream import FailureKind, Headers, ResponseHead, UpstreamCall, UpstreamFailure
from app.telemetry.logs import event_logger
from app.telemetry.metrics import Slot

_log = event_logger("proxy")
_FAILURES = {
    FailureKind.CONNECT_TIMEOUT: Outcome.UPSTREAM_TIMED_OUT,
    FailureKind.INTERNAL: Outcome.PROXY_FAILED,
}
_OUTCOME_SLOTS = {outcome.value: int(Slot[outcome.name]) for outcome in Outcome}
_ACCEPTED, _IN_FLIGHT = int(Slot.EXCHANGES_ACCEPTED), int(Slot.EXCHANGES_IN_FLIGHT)
_REQUEST_BYTES, _RESPONSE_BYTES = int(Slot.REQUEST_BYTES), int(Slot.RESPONSE_BYTES)


class ExchangeFlow:
    """All rules of one exchange. The shell calls `begin`, then the `request_…` methods, and `flush` after each read."""

    __slots__ = (
        "_aborts",
        "_answer",
        "_answer_data",
        "_call",
        "_client",
        "_client_has_left",
        "_context",
        "_head_is_sent",
        "_is_request_complete",
        "_length_digits",
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
        self._client = HeldClient(client, context.journal) if context.journal.defers_sends else client
        self._prepared = request
        self._request = request.head
        self._length_digits = length_digits or request.length_digits
        self._tee = Tee(context)
        self._call: UpstreamCall | None = None
        self._refusal: Refusal | None = None
        self._upload: list[bytes] = []
        self._is_request_complete = False
        self._request_trailers: Headers | None = None
        self._answer: ResponseHead | None = None
        self._answer_data = b""
        self._head_is_sent = False
        self._response_trailers: Headers | None = None
        self._aborts = False
        self._client_has_left = False
        self.is_done = False

    # What the client does, told by the shell.

    def begin(self) -> None:
        """Accepts the request head; what is refused is answered at the next flush."""
        context = self._context
        context.flows.add(self)
        context.metrics.add(_ACCEPTED)
        context.metrics.add(_IN_FLIGHT)
        try:
            self._refusal = self._prepared.refusal or self._admission()
            self._tee.begin(self._prepared, self._length_digits)
        except Exception as error:  # noqa: BLE001 - root of what a request head sets off: any fault ends one exchange
            self._fail(error)

    def _admission(self) -> Refusal | None:
        rules = self._context.rules
        if len(self._context.flows) > rules.max_inflight:
            return Refusal(
                503, "max_inflight", f"{rules.max_inflight} exchanges are under way; try again later"
            )
        if rules.fail_closed and not self._context.journal.admits():
            return Refusal(
                503, "journal_full", "the journal is full and JOURNAL_ON_FULL is fail_closed; try again later"
            )
        if rules.max_body_bytes is not None and self._is_too_large(int(self._length_digits or b"0")):
            return self._too_large()
        return None

    def request_data(self, data: bytes) -> None:
        """Bytes of the request's body."""
        if self.is_done:
            return
        self._tee.request_chunk(data)
        self._upload.append(data)
        if self._refusal is None and self._is_too_large(self._tee.request_bytes):
            self._refusal = self._too_large()

    def request_end(self, trailers: Headers) -> None:
        """The request is whole."""
        self._is_request_complete = True
        self._request_trailers = trailers

    def request_broken(self, refusal: Refusal) -> None:
        """What the client sends is no valid request any more, or comes too late; flushes by itself."""
        if not self.is_done:
            self._refusal = refusal
            self.flush()

    def flush(self) -> None:
        """What one read of the client brought is journalled, then sent on."""
        if self.is_done:
            return
        try:
            if self._refusal is not None:
                self._refuse(self._refusal)
            else:
                self._tee.flush()
                self._send_upstream()
        except Exception as error:  # noqa: BLE001 - root of what a client's bytes set off: any fault ends one exchange
            self._fail(error)

    def client_left(self) -> None:
        """The client's connection is gone."""
        if self.is_done or self._client_has_left:
            return
        if self._context.rules.drain_on_abort and self._is_request_complete and self._call is not None:
            # The answer is read to its end for the record.
            self._client_has_left = True
            self._call.resume_reading()
            return
        self._end(Outcome.CLIENT_LEFT, None, None)
        self._tee.flush()
        self._close()

    def client_paused(self) -> None:
        """The client takes no more bytes for now."""
        if self._call is not None and not self._client_has_left:
            self._call.pause_reading()

    def client_resumed(self) -> None:
        """The client takes bytes again."""
        if self._call is not None:
            self._call.resume_reading()

    def stop(self) -> None:
        """The worker stops: the exchange is cut and recorded as such."""
        if self.is_done:
            return
        self._end(Outcome.PROXY_STOPPED, "drain", "the proxy was stopped before the answer was whole")
        self._aborts = True
        self._deliver()

    # What the upstream does, told by the pool (ResponseHandler).

    def on_sent(self) -> None:
        """The request is on its way; a client that waits for 100 Continue may send its body."""
        if self._request.expects_continue and not self._is_request_complete and not self._client_has_left:
            self._client.send_continue()
            self._client.flush()

    def on_retry(self, detail: str) -> None:
        """Noted in the journal."""
        self._context.metrics.add(Slot.UPSTREAM_RETRIES)
        self._tee.note("retried", detail)

    def on_informational(self, status: int, reason: bytes, headers: Headers) -> None:
        """1xx answers pass; our own 100 Continue was sent already."""
        if status != 100 and self._request.version == b"1.1" and not self._client_has_left:
            self._client.send_informational(status, reason, response_headers(headers, self._public_id()))

    def on_head(self, head: ResponseHead) -> None:
        """The answer begins."""
        self._answer = head
        self._tee.answer_head(head)

    def on_data(self, data: bytes) -> None:
        """The answer goes on."""
        self._tee.response_chunk(data)
        self._answer_data = data

    def on_complete(self, trailers: Headers) -> None:
        """The answer is whole."""
        self._response_trailers = trailers
        self._end(Outcome.CLIENT_LEFT if self._client_has_left else Outcome.COMPLETED, None, None)

    def on_failed(self, failure: UpstreamFailure) -> None:
        """The answer is not whole and will not be."""
        timed_out = failure.kind is FailureKind.CONNECT_TIMEOUT
        outcome = (
            Outcome.CLIENT_LEFT
            if self._client_has_left
            else _FAILURES.get(failure.kind, Outcome.UPSTREAM_FAILED)
        )
        if self._answer is None:
            self._answer_error(504 if timed_out else 502, f"upstream_{failure.kind.value}", failure.detail)
        else:
            self._aborts = True
        self._end(outcome, failure.kind.value, failure.detail)

    def on_flush(self) -> None:
        """What one read of the upstream brought is journalled, then sent on."""
        try:
            self._deliver()
        except Exception as error:  # noqa: BLE001 - root of what an upstream's bytes set off: any fault ends one exchange
            self._fail(error)

    def on_upload_paused(self) -> None:
        """The upstream takes no more of the request for now."""
        self._client.pause_reading()

    def on_upload_resumed(self) -> None:
        """The upstream takes more of the request."""
        self._client.resume_reading()

    # The rules.

    def _send_upstream(self) -> None:
        if self._call is None:
            prepared, head = self._prepared, self._request
            self._call = self._context.client.start(
                prepared.upstream,
                head.method,
                prepared.upstream_head(self._length_digits),
                chunked=head.chunked,
                handler=self,
            )
        for data in self._upload:
            self._call.send(data)
        self._upload.clear()
        if self._request_trailers is not None:
            self._call.finish(self._request_trailers)
            self._request_trailers = None
        else:
            self._call.flush()

    def _deliver(self) -> None:
        """Journal first; then the client gets what was gathered."""
        self._tee.flush()
        client = self._client
        data, self._answer_data = self._answer_data, b""
        if not self._client_has_left:
            if self._answer is not None and not self._head_is_sent:
                self._head_is_sent = True
                client.send_head(self._for_client(self._answer))
            if data:
                client.send_data(data)
            if self._response_trailers is not None:
                client.finish(self._response_trailers)
            elif self._aborts:
                client.abort()
            client.flush()
        if self.is_done:
            self._close()

    def _for_client(self, head: ResponseHead) -> ResponseHead:
        headers = response_headers(head.headers, self._public_id())
        return ResponseHead(
            head.status, head.reason, head.version, headers, head.length_bytes, head.chunked, head.bodyless
        )

    def _public_id(self) -> bytes:
        text = self._tee.exchange_id.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()

    def _refuse(self, refusal: Refusal) -> None:
        if self._answer is None:
            self._answer_error(refusal.status, refusal.code, refusal.message, refusal.param)
        else:
            self._aborts = True
        self._end(Outcome.REFUSED, refusal.code, refusal.message)
        self._deliver()

    def _answer_error(self, status: int, code: str, message: str, param: str | None = None) -> None:
        """An answer of our own, staged like the upstream's: what a client gets is always on record."""
        body, head = error_answer(
            status, code, message, param, is_head_request=self._request.method == b"HEAD"
        )
        self.on_head(head)
        if not head.bodyless:
            self.on_data(body)
        self._response_trailers = []

    def _is_too_large(self, size_bytes: int) -> bool:
        limit = self._context.rules.max_body_bytes
        return limit is not None and size_bytes > limit

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            "body_too_large",
            f"the request body is larger than {self._context.rules.max_body_bytes} bytes",
        )

    def _fail(self, error: Exception) -> None:
        """A fault of our own: this exchange ends honestly, the worker goes on."""
        _log.exception("exchange_failed", error)
        if self.is_done:
            # It was over but for the delivery: what the client has must not pass for whole.
            self._close()
            self._client.abort()
            self._client.flush()
            return
        if self._answer is None:
            self._answer_error(500, "proxy_failed", "Verbatim failed while it handled this call; see its log")
        else:
            self._aborts = True
        self._end(Outcome.PROXY_FAILED, type(error).__name__, None)
        self._deliver()

    def _end(self, outcome: Outcome, reason: str | None, detail: str | None) -> None:
        self.is_done = True
        self._tee.end(
            outcome,
            reason,
            detail,
            request_complete=self._is_request_complete,
            trailers=self._response_trailers or [],
        )
        metrics = self._context.metrics
        metrics.add(_OUTCOME_SLOTS[outcome.value])
        metrics.add(_REQUEST_BYTES, self._tee.request_bytes)
        metrics.add(_RESPONSE_BYTES, self._tee.response_bytes)

    def _close(self) -> None:
        """After the end: the upstream is let go, the count goes down."""
        if self._call is not None:
            self._call.cancel()
        if self in self._context.flows:
            self._context.flows.discard(self)
            self._context.metrics.add(_IN_FLIGHT, -1)
