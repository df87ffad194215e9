"""What each child process is made of; each imports its own stage, so that no process carries the others'."""

from __future__ import annotations

import signal
import socket
import time
from types import FrameType

from app.config import Settings
from app.errors import EmbeddedDatabaseError
from app.telemetry.logs import event_logger
from app.telemetry.metrics import MetricsMap

DATABASE_POLL_SECONDS = 0.2


def work(settings: Settings, sockets: list[socket.socket], slot: int, pages: MetricsMap) -> None:
    """A proxy worker."""
    from app.proxy.worker import run_worker

    run_worker(settings, sockets, slot, pages)


def console(settings: Settings, url: str, sockets: list[socket.socket], token: str) -> None:
    """The console."""
    from app.api.guard import token_hash
    from app.api.server import create_console, run_console
    from app.store.pool import Pool
    from app.store.query import Query

    pool = Pool(url, application="verbatim console")
    hosts = settings.console_host_names()
    run_console(create_console(Query(pool), token_hash(token), hosts, pool.close), sockets)


def database(settings: Settings) -> None:
    """The keeper of the embedded PostgreSQL: ends with it, so that the supervisor starts both again."""
    from app.store.embedded import EmbeddedPostgres

    events = event_logger("database")
    server = EmbeddedPostgres(settings.data_dir)
    signal.signal(signal.SIGTERM, _leave)
    try:
        server.start()
        events.info("database_started", folder=server.folder)
        if server.displaced:
            events.warning("database_elsewhere", folder=server.folder, data_dir=settings.data_dir)
        while server.process is not None and server.process.poll() is None:
            time.sleep(DATABASE_POLL_SECONDS)
        raise EmbeddedDatabaseError(f"it ended; its log is in {server.folder}/log")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        server.stop()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
