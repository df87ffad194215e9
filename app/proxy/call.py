"""One request on its way to an upstream, and its answer on the way back (UpstreamCall).

    connecting ──▶ under way ──▶ over
         ▲             │
         └── retry ────┘   once: a reused connection ended before any byte of an answer

What was sent is held while there is no connection, and on a reused connection for as long as it may have to be sent
again. A call that is over has no handler, no connection and holds nothing: whatever is done to it is harmless.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.proxy.answer_parser import AnswerParser
from app.proxy.upstream import FailureKind, Headers, ResponseHandler, Upstream, UpstreamFailure
from app.proxy.wire import chunk_bytes, last_chunk_bytes

if TYPE_CHECKING:
    from app.proxy.connection import UpstreamConnection
    from app.proxy.pool import UpstreamPool

_FAULT = "Verbatim failed while it handled the answer; see its log"
MAX_HELD_BYTES = 64 << 10
"""Head and body that are held for a retry; also what may wait for a connection before the sender is told to stop."""


class PooledCall:
    """The pool's UpstreamCall."""

    __slots__ = (
        "_connection",
        "_handler",
        "_held",
        "_held_bytes",
        "_is_chunked",
        "_is_finished",
        "_is_for_head",
        "_is_reading_paused",
        "_is_upload_paused",
        "_pool",
        "_upgrades",
        "task",
        "upstream",
        "where",
    )

    def __init__(
        self,
        pool: UpstreamPool,
        upstream: Upstream,
        method: bytes,
        *,
        chunked: bool,
        upgrades: bool,
        handler: ResponseHandler,
    ) -> None:
        self._pool = pool
        self.upstream = upstream
        self.where = (upstream.scheme, upstream.host, upstream.port)
        self.task: asyncio.Task[None] | None = None
        """The attempt to connect."""
        self._handler: ResponseHandler | None = handler
        self._connection: UpstreamConnection | None = None
        self._held: list[bytes] | None = None
        self._held_bytes = 0
        self._is_chunked = chunked
        self._is_finished = False
        self._is_for_head = method == b"HEAD"
        self._upgrades = upgrades
        self._is_reading_paused = False
        self._is_upload_paused = False

    # What the caller does.

    def send(self, data: bytes) -> None:
        """Sends request body bytes; an empty piece is none, since an empty chunk would end the body."""
        if data and not self._is_finished:
            self._write(chunk_bytes(data) if self._is_chunked else data)

    def finish(self, trailers: Headers) -> None:
        """Ends the request body."""
        if not self._is_finished:
            self._is_finished = True
            if self._is_chunked:
                self._write(last_chunk_bytes(trailers))

    def pause_reading(self) -> None:
        """Stops reading the answer, at once or as soon as there is a connection."""
        self._is_reading_paused = True
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Reads on."""
        self._is_reading_paused = False
        if self._connection is not None:
            self._connection.resume_reading()

    def cancel(self) -> None:
        """Closes the connection or gives the attempt up; no handler call follows."""
        self._handler = None
        self._let_go()

    # What the pool does.

    def begin(self, head: bytes, body: bytes, idle: UpstreamConnection | None, *, is_whole: bool) -> None:
        """Sends what there is on an idle connection, in one piece, or holds it until there is one."""
        if body:
            head += chunk_bytes(body) if self._is_chunked else body
        if is_whole:
            self._is_finished = True
            if self._is_chunked:
                head += last_chunk_bytes([])
        self._held_bytes = len(head)
        if idle is None:
            self._held = [head]
            if self._held_bytes > MAX_HELD_BYTES:
                self.on_write_paused()
            self._pool.connect(self)
            return
        if self._held_bytes <= MAX_HELD_BYTES:
            self._held = [head]
        idle.is_reused = True
        idle.call = self
        self._use(idle)
        idle.write(head)
        self._tell_sent()

    def on_connected(self, connection: UpstreamConnection) -> None:
        """A fresh connection stands: what was held goes out, and is held no longer."""
        self._use(connection)
        held, self._held = self._held or [], None
        connection.write(b"".join(held))
        if self._is_reading_paused:
            connection.pause_reading()
        self._tell_sent()
        if self._is_upload_paused and not connection.is_write_paused:
            self.on_write_resumed()

    def on_unusable(self) -> None:
        """A fresh connection ended, or spoke unasked, before anything was sent on it."""
        self.fail(FailureKind.CLOSED, f"{self._peer()} closed the connection as soon as it stood; try again")

    def on_read(self, answer: AnswerParser) -> None:
        """One read of the answer was parsed."""
        if answer.error is not None:
            self._let_go()
        self._tell_read(answer)

    def on_ended(self, connection: UpstreamConnection, error: Exception | None) -> None:
        """The connection ended under the call: cleanly, or with an error."""
        answer = connection.answer
        if error is None and answer.feed_end():
            self._let_go()
            self._tell_read(answer)
        elif connection.is_reused and not answer.has_begun and self._held is not None:
            self._retry(connection, error)
        elif error is None:
            self.fail(
                FailureKind.CLOSED, f"{self._peer()} closed the connection {answer.position()}; try again"
            )
        else:
            self.fail(
                FailureKind.RESET, f"{self._peer()} reset the connection {answer.position()}; try again"
            )

    def fail(self, kind: FailureKind, detail: str) -> None:
        """Ends the call without a whole answer."""
        self._let_go()
        handler, self._handler = self._handler, None
        if handler is not None:
            try:
                handler.on_failed(UpstreamFailure(kind, detail))
                handler.on_flush()
            except Exception as error:  # noqa: BLE001 - root of what an upstream's end sets off
                self._end_in_fault(handler, error)

    def on_write_paused(self) -> None:
        """No more request bytes for now."""
        if self._handler is not None and not self._is_upload_paused:
            self._is_upload_paused = True
            try:
                self._handler.on_upload_paused()
            except Exception as error:  # noqa: BLE001 - root of what a full buffer sets off
                self._give_up(error)

    def on_write_resumed(self) -> None:
        """Request bytes again."""
        if self._handler is not None and self._is_upload_paused:
            self._is_upload_paused = False
            try:
                self._handler.on_upload_resumed()
            except Exception as error:  # noqa: BLE001 - root of what a drained buffer sets off
                self._give_up(error)

    # Steps.

    def _write(self, data: bytes) -> None:
        if self._held is not None:
            self._hold(self._held, data)
        if self._connection is not None:
            self._connection.write(data)

    def _hold(self, held: list[bytes], data: bytes) -> None:
        """Keeps bytes for a connection to come; beyond the limit what is under way is not kept any more."""
        held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > MAX_HELD_BYTES:
            if self._connection is None:
                self.on_write_paused()
            else:
                self._held = None

    def _use(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self.task = None
        connection.answer.begin(is_for_head_request=self._is_for_head, may_upgrade=self._upgrades)

    def _retry(self, connection: UpstreamConnection, error: Exception | None) -> None:
        word = "closed" if error is None else "reset"
        connection.abort()
        self._connection = None
        self._pool.retries += 1
        if self._handler is None:
            return
        try:
            self._handler.on_retry(f"{self._peer()} had {word} an idle connection")
        except Exception as fault:  # noqa: BLE001 - root of what an upstream's end sets off
            self._give_up(fault)
        if self._handler is not None:
            self._pool.connect(self)

    def _release(self, connection: UpstreamConnection) -> None:
        """The answer is whole: its connection becomes idle, or is closed if anything speaks against using it again."""
        answer = connection.answer
        if self._is_finished and answer.keeps_alive and not answer.has_surplus and connection.can_serve():
            connection.call = None
            self._connection = self._held = None
            if self._is_reading_paused:
                connection.resume_reading()  # or its end would not be seen
            self._pool.put_idle(connection)
        else:
            self._let_go()

    def _let_go(self) -> None:
        """Closes what there is; nobody is told."""
        connection, self._connection = self._connection, None
        task, self.task = self.task, None
        self._held = None
        self._is_finished = True
        if connection is not None:
            connection.abort()
        if task is not None:
            task.cancel()

    def _tell_sent(self) -> None:
        if self._handler is not None:
            try:
                self._handler.on_sent()
            except Exception as error:  # noqa: BLE001 - root of what a new connection sets off
                self._give_up(error)

    def _tell_read(self, answer: AnswerParser) -> None:
        """Tells what one read brought, in order, for as long as the handler has not cancelled."""
        try:
            for status, reason, fields in answer.informational:
                if self._handler is not None:
                    self._handler.on_informational(status, reason, fields)
            if answer.is_head_new and self._handler is not None and answer.head is not None:
                self._handler.on_head(answer.head)
            if answer.data and self._handler is not None:
                self._handler.on_data(answer.data)
            if answer.is_complete or answer.error is not None:
                self._tell_end(answer)
            elif self._handler is not None:
                self._handler.on_flush()
        except Exception as error:  # noqa: BLE001 - root of what an upstream's bytes set off
            self._give_up(error)

    def _tell_end(self, answer: AnswerParser) -> None:
        handler, self._handler = self._handler, None
        if handler is None:
            return
        trailers, error = answer.trailers, answer.error
        if self._connection is not None:
            # Before on_complete, so that a call which starts in it finds the connection.
            self._release(self._connection)
        try:
            if error is None:
                handler.on_complete(trailers)
            else:
                detail = f"{self._peer()} sent no proper HTTP answer: {error}"
                handler.on_failed(UpstreamFailure(FailureKind.MALFORMED, detail))
            handler.on_flush()
        except Exception as fault:  # noqa: BLE001 - root of what an upstream's bytes set off
            self._end_in_fault(handler, fault)

    def _give_up(self, error: Exception) -> None:
        """The handler raised: the call fails, the connection is closed, the fault is reported."""
        self._report(error)
        self.fail(FailureKind.INTERNAL, _FAULT)

    def _end_in_fault(self, handler: ResponseHandler, error: Exception) -> None:
        """The handler raised when it was told the end: it is told once more that something failed, lest it hang."""
        self._report(error)
        try:
            handler.on_failed(UpstreamFailure(FailureKind.INTERNAL, _FAULT))
            handler.on_flush()
        except Exception as again:  # noqa: BLE001 - nothing is left to tell it
            self._report(again)

    def _report(self, error: Exception) -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a handler of an upstream call raised", "exception": error}
        )

    def _peer(self) -> str:
        return f"{self.upstream.host}:{self.upstream.port}"
