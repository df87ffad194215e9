"""Nothing passes before it is written, and one exchange's fault is not the others'."""

import asyncio
from collections.abc import Callable

from app.proxy.sluice import Sluice


class Ledger:
    """Notes in one list what the journal and the exchanges do."""

    def __init__(self, *, defers_sends: bool = False, fails: bool = False) -> None:
        self.done: list[str] = []
        self.defers_sends = defers_sends
        self.position = 0
        self.durable: list[Callable[[], None]] = []
        self._fails = fails

    def commit(self) -> None:
        self.done.append("commit")
        if self._fails:
            raise RuntimeError("a fault of the journal's")

    def on_durable(self, position: int, callback: Callable[[], None]) -> None:
        self.durable.append(callback)


class Exchange:
    """Passes, or raises as it does."""

    def __init__(
        self, ledger: Ledger, name: str, *, fails: bool = False, fails_to_fail: bool = False
    ) -> None:
        self._ledger, self._name = ledger, name
        self._fails, self._fails_to_fail = fails, fails_to_fail
        self.until: int | None = None

    def send(self) -> None:
        self._note("sent")

    def staged(self) -> int:
        return len(self._ledger.done)

    def deliver(self, until: int | None = None) -> None:
        self.until = until
        self._note("delivered")

    def fail(self, error: Exception) -> None:
        self._ledger.done.append(f"{self._name} failed")
        if self._fails_to_fail:
            raise RuntimeError("again")

    def _note(self, word: str) -> None:
        self._ledger.done.append(f"{self._name} {word}")
        if self._fails:
            raise RuntimeError("a fault")


async def test_what_one_turn_brings_is_one_commit_and_passes_after_it() -> None:
    ledger = Ledger()
    sluice = Sluice(ledger)
    sluice.send(Exchange(ledger, "a"))
    sluice.deliver(Exchange(ledger, "b"))
    sluice.send(Exchange(ledger, "c"))
    assert ledger.done == []
    await asyncio.sleep(0)
    assert ledger.done == ["commit", "a sent", "c sent", "b delivered"]
    sluice.deliver(Exchange(ledger, "d"))
    await asyncio.sleep(0)
    assert ledger.done[4:] == ["commit", "d delivered"]


async def test_where_the_journal_defers_answers_wait_for_the_disk_and_requests_do_not() -> None:
    ledger = Ledger(defers_sends=True)
    sluice = Sluice(ledger)
    exchange = Exchange(ledger, "b")
    sluice.send(Exchange(ledger, "a"))
    sluice.deliver(exchange)
    await asyncio.sleep(0)
    assert ledger.done == ["commit", "a sent"]
    ledger.done.append("more was staged")
    ledger.durable[0]()
    assert ledger.done[3:] == ["b delivered"] and exchange.until == 2


async def test_a_fault_of_one_exchange_stops_no_other() -> None:
    ledger = Ledger()
    sluice = Sluice(ledger)
    for name, fails in (("a", True), ("b", False)):
        sluice.send(Exchange(ledger, name, fails=fails, fails_to_fail=fails))
        sluice.deliver(Exchange(ledger, name, fails=fails, fails_to_fail=fails))
    sluice.open()
    assert ledger.done == [
        "commit",
        "a sent",
        "a failed",
        "b sent",
        "a delivered",
        "a failed",
        "b delivered",
    ]


async def test_a_fault_of_the_journal_stops_nothing() -> None:
    ledger = Ledger(fails=True)
    sluice = Sluice(ledger)
    sluice.deliver(Exchange(ledger, "a"))
    sluice.open()
    assert ledger.done == ["commit", "a delivered"]
