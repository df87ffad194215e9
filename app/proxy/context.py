"""What all exchanges of one worker share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from app.clock import IdSource
from app.proxy.prepared import RememberedHeads
from app.proxy.rules import ProxyRules
from app.proxy.secrets import Redactor
from app.proxy.sluice import Commits, Sluice
from app.proxy.upstream import UpstreamClient
from app.telemetry.metrics import WorkerPage

if TYPE_CHECKING:
    from app.proxy.flow import ExchangeFlow


class ExchangeLog(Protocol):
    """The journal's side of one exchange."""

    @property
    def gap(self) -> bool:
        """A frame of this exchange could not be written."""

    def stage(self, kind: int, payload: bytes) -> None:
        """Puts a frame behind those that the next commit writes."""


class Journal(Commits, Protocol):
    """The journal's writer as the proxy sees it; nothing here raises for trouble with the disk."""

    @property
    def boot(self) -> str:
        """Eight hexadecimal digits of this start of the writer."""

    @property
    def slot(self) -> int:
        """The worker's number."""

    def admits(self) -> bool:
        """False while the policy for a full disk says so."""

    def next_accept_number(self) -> int:
        """The next number of the dense count of accepted exchanges."""

    def exchange(self, exchange_id: bytes) -> ExchangeLog:
        """A log for a new exchange."""

    def skip(self, reason: str) -> None:
        """Counts an exchange that is not recorded, under an accept number of its own."""


def _later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, callback)


@dataclass(slots=True)
class ProxyContext:
    """Parts and state of a worker."""

    rules: ProxyRules
    client: UpstreamClient
    journal: Journal
    redactor: Redactor
    metrics: WorkerPage
    flows: set[ExchangeFlow] = field(default_factory=set)
    """Exchanges under way."""
    heads: RememberedHeads = field(default_factory=RememberedHeads)
    sluice: Sluice = field(init=False)
    new_id: IdSource = field(default_factory=IdSource)
    is_draining: bool = False
    publish_gauges: Callable[[], None] = lambda: None
    """Called once a second: puts what is measured rather than counted into the metrics page."""

    later: Callable[[float, Callable[[], None]], object] = _later
    """Calls back after so many seconds."""

    def __post_init__(self) -> None:
        self.sluice = Sluice(self.journal)
