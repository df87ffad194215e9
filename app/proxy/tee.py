"""The copy of an exchange that goes to the journal: which frames are written, and what of the heads is kept."""

from __future__ import annotations

import msgspec

from app.clock import wall_ns
from app.exchange import AnswerHead, Begin, End, FrameType, KeptHeaders, LogMode, Note, Outcome
from app.proxy.context import ExchangeLog, ProxyContext
from app.proxy.prepared import PreparedRequest
from app.proxy.upstream import Headers, ResponseHead

_encode = msgspec.msgpack.Encoder().encode


class Tee:
    """Counts what passes and stages its frames; where an exchange is not recorded it only counts."""

    __slots__ = (
        "_context",
        "_credential",
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
        self._credential: bytes | None = None
        self._keeps_bodies = True
        self.request_bytes = 0
        self.response_bytes = 0
        now_ns = wall_ns()
        self.exchange_id = context.new_id(now_ns)
        self.started_ns = now_ns

    def begin(self, request: PreparedRequest, length_digits: bytes) -> None:
        """Stages BEGIN, or counts the exchange as not recorded."""
        journal = self._context.journal
        if request.mode is LogMode.OFF:
            journal.skip("off")
            return
        if not journal.admits():
            journal.skip("journal_full")
            return
        self._log = journal.exchange(self.exchange_id)
        self._keeps_bodies = request.keeps_bodies
        self._credential = request.credential
        head, labels = request.head, request.labels
        begin = Begin(
            journal.next_accept_number(),
            journal.boot,
            journal.slot,
            self.started_ns,
            request.mode.value,
            head.method.decode("latin-1"),
            request.target,
            request.upstream.name,
            request.upstream.url,
            head.version.decode("latin-1"),
            request.kept_fields(length_digits),
            labels.project or self._context.rules.project,
            labels.user,
            labels.conversation,
            labels.tags,
            request.key,
            request.key_tail,
            request.keeps_bodies,
        )
        self._log.stage(FrameType.BEGIN, _encode(begin))

    def request_chunk(self, data: bytes) -> None:
        """Stages bytes of the request's body."""
        self.request_bytes += len(data)
        if self._log is not None and self._keeps_bodies:
            self._log.stage(FrameType.REQUEST_CHUNK, data)

    def answer_head(self, head: ResponseHead) -> None:
        """Stages the head of the answer."""
        if self._log is None:
            return
        reason = head.reason
        redactor = self._context.redactor
        if reason not in _PLAIN_REASONS and redactor.is_suspect(reason, self._credential):
            reason = redactor.scrubbed(reason, self._credential)
        kept = AnswerHead(head.status, reason, head.version.decode("latin-1"), self._kept(head.headers))
        self._log.stage(FrameType.RESPONSE_HEAD, _encode(kept))

    def response_chunk(self, data: bytes) -> None:
        """Stages bytes of the answer's body."""
        self.response_bytes += len(data)
        if self._log is not None and self._keeps_bodies:
            self._log.stage(FrameType.RESPONSE_CHUNK, data)

    def note(self, kind: str, detail: str) -> None:
        """Stages a NOTE about this exchange."""
        if self._log is not None:
            self._log.stage(FrameType.NOTE, _encode(Note(kind, detail)))

    def end(
        self,
        outcome: Outcome,
        reason: str | None,
        detail: str | None,
        *,
        request_complete: bool,
        trailers: Headers,
    ) -> None:
        """Stages END; nothing may be staged after it."""
        if self._log is None:
            return
        end = End(
            outcome=outcome.value,
            reason=reason,
            detail=detail,
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            request_complete=request_complete,
            gap=self._log.gap,
            trailers=self._kept(trailers) if trailers else [],
        )
        self._log.stage(FrameType.END, _encode(end))

    def _kept(self, headers: Headers) -> KeptHeaders:
        return self._context.redactor.kept(headers, self._credential)

    def flush(self) -> None:
        """Writes what is staged, before its bytes may go on."""
        if self._log is not None:
            self._log.flush()


_PLAIN_REASONS = frozenset(
    (b"OK", b"Created", b"Bad Request", b"Unauthorized", b"Not Found", b"Too Many Requests")
)
