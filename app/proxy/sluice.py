"""Between what is staged and what goes on: nothing passes before the journal has it.

All that one turn of the event loop brought, of however many exchanges, is one write to the journal; then the bytes of
each go on. So a busy worker makes few system calls for the journal, and an idle one waits for nothing: the turn after
a read follows at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from app.telemetry.logs import event_logger

_log = event_logger("proxy")


class Passage(Protocol):
    """An exchange at the sluice."""

    def send(self) -> None:
        """What there is of the request goes to the upstream."""

    def staged(self) -> int:
        """How much of the answer is staged by now."""

    def deliver(self, until: int | None = None) -> None:
        """What there is of the answer goes to the client; no more than was staged at some time, if that is given."""

    def fail(self, error: Exception) -> None:
        """One of the two raised: this exchange ends, the others go on."""


class Commits(Protocol):
    """The journal as the sluice sees it."""

    @property
    def defers_sends(self) -> bool:
        """True with fsync `always`: what clients get waits until the fdatasync that covers it is done."""

    @property
    def position(self) -> int:
        """How much was written since the writer was opened, for `on_durable`."""

    def commit(self) -> None:
        """Writes all that is staged before it returns."""

    def on_durable(self, position: int, callback: Callable[[], None]) -> None:
        """Calls back on the event loop when all up to the position is on the disk."""


class Sluice:
    """The exchanges of one worker that have something staged; lives on one event loop."""

    __slots__ = ("_answers", "_journal", "_loop", "_requests")

    def __init__(self, journal: Commits) -> None:
        self._journal = journal
        self._loop: asyncio.AbstractEventLoop | None = None
        self._requests: list[Passage] = []
        self._answers: list[Passage] = []

    def send(self, exchange: Passage) -> None:
        """At the end of this turn what is staged is written, then the exchange's request goes on."""
        if not self._requests and not self._answers:
            self._schedule()
        self._requests.append(exchange)

    def deliver(self, exchange: Passage) -> None:
        """At the end of this turn what is staged is written, then the exchange's answer goes on."""
        if not self._requests and not self._answers:
            self._schedule()
        self._answers.append(exchange)

    def _schedule(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self.open)

    def open(self) -> None:
        """Writes what is staged and lets everything pass that waits."""
        requests, self._requests = self._requests, []
        answers, self._answers = self._answers, []
        journal = self._journal
        try:
            journal.commit()
        except Exception as error:  # noqa: BLE001 - a fault of the journal's must not stop what passes
            _log.exception("journal_failed", error)
        for exchange in requests:
            try:
                exchange.send()
            except Exception as error:  # noqa: BLE001 - root of what a client's bytes set off: any fault ends one exchange
                _fail(exchange, error)
        if not answers:
            return
        if journal.defers_sends:
            # What comes until then is for the next sync to cover.
            covered = [(exchange, exchange.staged()) for exchange in answers]
            journal.on_durable(journal.position, lambda: _deliver_all(covered))
        else:
            _deliver_all([(exchange, None) for exchange in answers])


def _deliver_all(answers: Sequence[tuple[Passage, int | None]]) -> None:
    for exchange, until in answers:
        try:
            exchange.deliver(until)
        except Exception as error:  # noqa: BLE001 - root of what an upstream's bytes set off: any fault ends one exchange
            _fail(exchange, error)


def _fail(exchange: Passage, error: Exception) -> None:
    try:
        exchange.fail(error)
    except Exception as again:  # noqa: BLE001 - the others at the sluice must not suffer for it
        _log.exception("exchange_failed_twice", again)
