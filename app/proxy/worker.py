"""A worker process from its settings to its end: journal, pool and listener put together."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from app.config import Settings
from app.journal.writer import JournalWriter
from app.proxy.application import create_application
from app.proxy.context import ProxyContext, ProxyRules
from app.proxy.dial import make_tls_context
from app.proxy.pool import UpstreamPool
from app.proxy.secrets import Redactor
from app.proxy.server import ServerRules, serve
from app.proxy.upstream import Upstream
from app.telemetry.metrics import MetricsMap, render


def run_worker(settings: Settings, sockets: list[socket.socket], slot: int, pages: MetricsMap) -> None:
    """Runs until the drain after SIGTERM is over; raises JournalError where the journal cannot be used."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, sockets, slot, pages))


async def _work(settings: Settings, sockets: list[socket.socket], slot: int, pages: MetricsMap) -> None:
    page = pages.page(slot)
    page.clear_gauges()
    journal = open_journal(settings, slot)
    pool = UpstreamPool(
        tls=make_tls_context(str(settings.upstream_ca) if settings.upstream_ca else None),
        keepalive_seconds=settings.upstream_keepalive_seconds,
    )
    context = ProxyContext(
        rules=rules_of(settings),
        client=pool,
        journal=journal,
        redactor=Redactor(settings.fingerprint_key.get_secret_value().encode()),
        metrics=page,
    )
    rules = ServerRules(
        drain_seconds=settings.drain_seconds,
        tls_cert=str(settings.tls_cert) if settings.tls_cert else None,
        tls_key=str(settings.tls_key) if settings.tls_key else None,
    )
    try:
        await serve(context, sockets, create_application(context, lambda: render(pages)), rules)
    finally:
        await pool.aclose()
        journal.close()


def rules_of(settings: Settings) -> ProxyRules:
    """What exchanges obey."""
    addresses = settings.upstream_table()
    return ProxyRules(
        upstreams={
            each.name.encode(): Upstream(each.name, each.scheme, each.host, each.port, each.prefix)
            for each in addresses
        },
        project=settings.project,
        log=settings.log,
        log_upstreams={each.name: each.log for each in addresses},
        client_headers=settings.client_headers,
        drain_on_abort=settings.on_client_abort == "drain",
        fail_closed=settings.journal_on_full == "fail_closed",
        max_inflight=settings.max_inflight,
        max_body_bytes=settings.max_body_bytes,
    )
