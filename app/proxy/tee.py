"""The copy of an exchange that goes to the journal: which frames are staged, and what of the heads is kept."""

from __future__ import annotations

import msgspec

from app.clock import wall_ns
from app.exchange import End, FrameType, LogMode, Note, Outcome
from app.proxy.context import ExchangeLog, ProxyContext
from app.proxy.payloads import answer_head_payload
from app.proxy.prepared import PreparedRequest
from app.proxy.secrets import Credentials
from app.proxy.upstream import Headers, ResponseHead

_encode = msgspec.msgpack.Encoder().encode
_BEGIN, _REQUEST_CHUNK = int(FrameType.BEGIN), int(FrameType.REQUEST_CHUNK)
_RESPONSE_HEAD, _RESPONSE_CHUNK = int(FrameType.RESPONSE_HEAD), int(FrameType.RESPONSE_CHUNK)
_END, _NOTE = int(FrameType.END), int(FrameType.NOTE)


class Tee:
    """Counts what passes and stages its frames; where an exchange is not recorded it only counts."""

    __slots__ = (
        "_context",
        "_credentials",
        "_keeps_bodies",
        "_log",
        "exchange_id",
        "request_bytes",
        "response_bytes",
        "started_ns",
    )

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._log: ExchangeLog | None = None
        self._credentials: Credentials = ()
        self._keeps_bodies = True
        self.request_bytes = 0
        self.response_bytes = 0
        self.started_ns = now_ns = wall_ns()
        self.exchange_id = context.new_id(now_ns)

    def public_id(self) -> bytes:
        """The exchange's id as text."""
        text = self.exchange_id.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()

    def begin(self, request: PreparedRequest, length_digits: bytes) -> None:
        """Stages BEGIN, or counts the exchange as not recorded."""
        journal = self._context.journal
        if request.mode is LogMode.OFF:
            journal.skip("off")
            return
        if not journal.admits():
            journal.skip("journal_full")
            return
        self._log = log = journal.exchange(self.exchange_id)
        self._keeps_bodies = request.keeps_bodies
        self._credentials = request.credentials
        number = journal.next_accept_number()
        begin = request.begin.payload(number, journal.boot, journal.slot, self.started_ns, length_digits)
        log.stage(_BEGIN, begin)

    def request_chunk(self, data: bytes) -> None:
        """Stages bytes of the request's body."""
        self.request_bytes += len(data)
        if self._log is not None and self._keeps_bodies:
            self._log.stage(_REQUEST_CHUNK, data)

    def answer_head(self, head: ResponseHead) -> None:
        """Stages the head of the answer."""
        if self._log is not None:
            payload = answer_head_payload(head, self._context.redactor, self._credentials)
            self._log.stage(_RESPONSE_HEAD, payload)

    def response_chunk(self, data: bytes) -> None:
        """Stages bytes of the answer's body."""
        self.response_bytes += len(data)
        if self._log is not None and self._keeps_bodies:
            self._log.stage(_RESPONSE_CHUNK, data)

    def note(self, kind: str, detail: str) -> None:
        """Stages a NOTE about this exchange."""
        if self._log is not None:
            self._log.stage(_NOTE, _encode(Note(kind, detail)))

    def end(
        self,
        outcome: Outcome,
        reason: str | None,
        detail: str | None,
        *,
        request_complete: bool,
        trailers: Headers | None,
    ) -> None:
        """Stages END; nothing may be staged after it."""
        log = self._log
        if log is None:
            return
        kept = self._context.redactor.kept(trailers, self._credentials) if trailers else []
        end = End(
            outcome.value,
            reason,
            detail,
            self.request_bytes,
            self.response_bytes,
            request_complete,
            log.gap,
            kept,
        )
        log.stage(_END, _encode(end))
