"""The settings that an exchange obeys."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.exchange import LogMode
from app.proxy.headers import first_segment
from app.proxy.upstream import Upstream


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
    max_connections: int = 12_000
    """Of clients, to one worker."""
    head_seconds: float = 10.0
    body_idle_seconds: float = 60.0
    keepalive_seconds: float = 75.0

    def upstream_of(self, target: bytes) -> Upstream | None:
        """The upstream that a raw target belongs to."""
        return self.upstreams.get(first_segment(target))

    def mode_of(self, upstream: Upstream) -> LogMode:
        """How much is kept of exchanges with this upstream, before a client asks for less."""
        return self.log_upstreams.get(upstream.name, self.log)
