"""A worker process from its settings to its end: journal, pool and listener put together."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable

import uvloop

from app.clock import wall_ns
from app.config import Settings
from app.config.values import duration_seconds
from app.journal.reader import JournalDirectory
from app.journal.writer import JournalRules, JournalWriter
from app.proxy.application import create_application
from app.proxy.context import ProxyContext
from app.proxy.dial import make_tls_context
from app.proxy.pool import UpstreamPool
from app.proxy.rules import ProxyRules
from app.proxy.secrets import Redactor
from app.proxy.server import ServerRules, serve
from app.proxy.upstream import Upstream
from app.proxy.watchdog import LoopWatchdog
from app.telemetry.metrics import MetricsMap, Slot, WorkerPage, render

IDLE_CONNECTIONS = 2_000
"""Of clients that ask for nothing now, beside those whose exchanges are under way."""
OWN_FILES = 256


def run_worker(settings: Settings, sockets: list[socket.socket], slot: int, pages: MetricsMap) -> None:
    """Runs until the drain after SIGTERM is over; raises JournalError where the journal cannot be used."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, sockets, slot, pages))


async def _work(settings: Settings, sockets: list[socket.socket], slot: int, pages: MetricsMap) -> None:
    page = pages.page(slot)
    page.clear_gauges()
    journal = JournalWriter(settings.journal_dir, slot, socket.gethostname(), journal_rules_of(settings))
    journal.open()
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
    context.publish_gauges = publisher(page, journal, pool, JournalDirectory(settings.journal_dir))
    rules = ServerRules(
        drain_seconds=settings.drain_seconds,
        tls_cert=str(settings.tls_cert) if settings.tls_cert else None,
        tls_key=str(settings.tls_key) if settings.tls_key else None,
    )
    watchdog = LoopWatchdog(page)
    watchdog.start()
    try:
        await serve(context, sockets, create_application(context, lambda: render(pages)), rules)
    finally:
        watchdog.stop()
        await pool.aclose()
        journal.close()


def publisher(
    page: WorkerPage, journal: JournalWriter, pool: UpstreamPool, directory: JournalDirectory
) -> Callable[[], None]:
    """What copies the journal's and the pool's numbers into the metrics page; counters go on from a predecessor's."""
    counters: dict[Slot, Callable[[], int]] = {
        Slot.JOURNAL_WRITTEN_BYTES: lambda: journal.position,
        Slot.JOURNAL_FRAMES: lambda: journal.frames,
        Slot.JOURNAL_SLOW_WRITES: lambda: journal.slow_writes,
        Slot.JOURNAL_SUSPECT_SEGMENTS: lambda: journal.suspect_segments,
        Slot.DROPPED_JOURNAL_FULL: lambda: journal.dropped["journal_full"],
        Slot.DROPPED_JOURNAL_ERROR: lambda: journal.dropped["journal_error"],
        Slot.EXCHANGES_OFF: lambda: journal.off,
        Slot.UPSTREAM_CONNECTIONS_OPENED: lambda: pool.opened,
        Slot.UPSTREAM_CONNECTIONS_REUSED: lambda: pool.reused,
    }
    before = {slot: page.get(slot) for slot in counters}

    def publish() -> None:
        for slot, count in counters.items():
            page.set(slot, before[slot] + count())
        page.set(Slot.JOURNAL_SIZE_BYTES, journal.size_bytes)
        oldest_ns = directory.oldest_write_ns()
        page.set(Slot.JOURNAL_OLDEST_AGE_MS, max(0, wall_ns() - oldest_ns) // 1_000_000 if oldest_ns else 0)
        page.set(Slot.UPSTREAM_CONNECTIONS_IDLE, pool.idle)

    return publish


def journal_rules_of(settings: Settings) -> JournalRules:
    """What the journal obeys."""
    fsync = settings.journal_fsync
    return JournalRules(
        fsync=fsync if fsync in ("off", "always") else duration_seconds(fsync),
        max_bytes=settings.journal_max_bytes,
        min_free_bytes=settings.journal_min_free_bytes,
    )


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
        max_connections=_most_connections(settings.max_inflight),
    )


def _most_connections(max_inflight: int) -> int:
    """How many clients may be connected: never so many that one has no file left to reach its upstream with."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_inflight + IDLE_CONNECTIONS
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, (files - OWN_FILES) // 2))
