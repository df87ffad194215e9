"""Every setting's value, frozen; what they mean is in docs/settings.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from app.exchange import LogMode

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
WILDCARD_HOSTS = ("0.0.0.0", "::", "")


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """Where one upstream is, taken from its URL."""

    name: str
    """First path segment under which clients reach it; the default upstream is `v1`."""
    scheme: str
    host: str
    port: int
    prefix: bytes
    """Path of the URL without a slash at its end: `/openai` or empty."""
    log: LogMode
    """How much of this upstream's exchanges is kept."""


class Settings(BaseModel):
    """Every setting, checked; names are the environment's without the prefix, in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upstream: str = "https://api.openai.com"
    upstreams: dict[str, str] = {}
    host: str = "127.0.0.1"
    port: int = 8080
    console: bool = True
    console_host: str = "127.0.0.1"
    console_port: int = 8081
    console_hosts: tuple[str, ...] = ()
    console_token: SecretStr | None = None
    workers: int = 1
    database_url: SecretStr | None = None
    database_url_admin: SecretStr | None = None
    db_upgrade: bool = True
    data_dir: Path = Path()
    journal_fsync: str = "200ms"
    journal_max_bytes: int = 10 << 30
    journal_min_free_bytes: int = 1 << 30
    journal_on_full: str = "fail_open"
    log: LogMode = LogMode.FULL
    log_upstreams: dict[str, LogMode] = {}
    log_level: str = "info"
    project: str = "default"
    client_headers: frozenset[str] = frozenset({"log", "user", "conversation", "tag"})
    on_client_abort: str = "cancel"
    fingerprint_key: SecretStr = SecretStr("verbatim fingerprint 1")
    upstream_ca: Path | None = None
    upstream_keepalive_seconds: float = 30.0
    max_inflight: int = 10_000
    max_body_bytes: int | None = None
    drain_seconds: float = 120.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    keep_content_days: int | None = None
    keep_metadata_days: int | None = None
    store_max_gb: int | None = None
    prices: Path | None = None

    @property
    def journal_dir(self) -> Path:
        """Where the journal's segments are."""
        return self.data_dir / "journal"

    @property
    def console_token_file(self) -> Path:
        """Where the console's token is kept when no setting gives one; mode 0600."""
        return self.data_dir / "console-token"

    @property
    def store_max_bytes(self) -> int | None:
        """How large the store may grow; 10^9 bytes are a gigabyte."""
        return None if self.store_max_gb is None else self.store_max_gb * 10**9

    def upstream_table(self) -> tuple[UpstreamAddress, ...]:
        """Every upstream, the default (`v1`) first."""
        urls = {"v1": self.upstream, **self.upstreams}
        return tuple(
            _address(name, url, self.log.stricter(self.log_upstreams.get(name, LogMode.FULL)))
            for name, url in urls.items()
        )

    def console_host_names(self) -> frozenset[str]:
        """Values of `Host`, ports taken off, that the console answers to; `*` among them means every one."""
        own = () if self.console_host in WILDCARD_HOSTS else (self.console_host.lower(),)
        return frozenset((*LOOPBACK_HOSTS, *own, *(host.lower() for host in self.console_hosts)))


def _address(name: str, url: str, log: LogMode) -> UpstreamAddress:
    parts = urlsplit(url)
    return UpstreamAddress(
        name=name,
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or (443 if parts.scheme == "https" else 80),
        prefix=parts.path.rstrip("/").encode("ascii"),
        log=log,
    )
