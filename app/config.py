"""Settings, read from the environment (prefix VERBATIM_) and a TOML file; frozen once read."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr

from app.exchange import LogMode


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
