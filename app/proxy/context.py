"""What all exchanges of one worker share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from app.exchange import LogMode
from app.proxy.headers import first_segment
from app.proxy.secrets import Redactor
from app.proxy.upstream import Upstream, UpstreamClient
from app.telemetry.metrics import WorkerPage

if TYPE_CHECKING:
    from app.proxy.flow import ExchangeFlow


class ExchangeLog(Protocol):
    """The journal's side of one exchange."""

    @property
    def gap(self) -> bool:
        """A frame of this exchange could not be written."""

    def stage(self, kind: int, payload: bytes) -> None:
        """Puts a frame behind those that the next flush writes."""

    def flush(self) -> bool:
        """Writes all staged frames in one call before it returns; False where the disk refused."""


class Journal(Protocol):
    """The journal's writer as the proxy sees it; nothing here raises for trouble with the disk."""

    @property
    def boot(self) -> str:
        """Eight hexadecimal digits of this start of the writer."""

    @property
    def slot(self) -> int:
        """The worker's number."""

    @property
    def defers_sends(self) -> bool:
        """True with fsync `always`: bytes go on only when the fdatasync that covers them is done."""

    @property
    def position(self) -> int:
        """How much was written since the writer was opened, for `on_durable`."""

    def admits(self) -> bool:
        """False while the policy for a full disk says so."""

    def next_accept_number(self) -> int:
        """The next number of the dense count of accepted exchanges."""

    def exchange(self, exchange_id: bytes) -> ExchangeLog:
        """A log for a new exchange."""

    def skip(self, reason: str) -> None:
        """Counts an exchange that is not recorded, under an accept number of its own."""

    def on_durable(self, position: int, callback: Callable[[], None]) -> None:
        """Calls back on the event loop when all up to the position is on the disk."""


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """The settings that an exchange obeys."""

    upstreams: dict[bytes, Upstream]
    """By the first raw segment of the path."""
    project: str = "default"
    log: LogMode = LogMode.FULL
    log_upstreams: dict[str, LogMode] = field(default_factory=dict)
    client_headers: frozenset[str] = frozenset({"log", "user", "conversation", "tag"})
    drain_on_abort: bool = False
    fail_closed: bool = False
    max_inflight: int = 10_000
    max_body_bytes: int | None = None
    head_seconds: float = 10.0
    body_idle_seconds: float = 60.0
    keepalive_seconds: float = 75.0

    def upstream_of(self, target: bytes) -> Upstream | None:
        """The upstream that a raw target belongs to."""
        return self.upstreams.get(first_segment(target))

    def mode_of(self, upstream: Upstream) -> LogMode:
        """How much is kept of exchanges with this upstream, before a client asks for less."""
        return self.log_upstreams.get(upstream.name, self.log)


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
    is_draining: bool = False
    publish_gauges: Callable[[], None] = lambda: None
    """Called once a second: puts what is measured rather than counted into the metrics page."""
