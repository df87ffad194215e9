"""What each child process is made of; each imports its own stage, so that no process carries the others'."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from functools import partial
from types import FrameType

import uvloop

from app.cli.process import die_with_parent
from app.clock import monotonic_ns
from app.config import Settings
from app.errors import EmbeddedDatabaseError, StoreError
from app.telemetry.logs import event_logger
from app.telemetry.metrics import MetricsMap

DATABASE_POLL_SECONDS = 0.2
FIRST_UPGRADE_RETRY_SECONDS = 0.1
LAST_UPGRADE_RETRY_SECONDS = 5.0
QUIET_UPGRADE_SECONDS = 5.0
RECORDER_GC_OBJECTS = 100_000
"""A batch is that many values and no cycles; looking for cycles among them took a twelfth of the recorder's time."""


def work(settings: Settings, sockets: list[socket.socket], slot: int, pages: MetricsMap) -> None:
    """A proxy worker."""
    from app.proxy.worker import run_worker

    run_worker(settings, sockets, slot, pages)


def record(settings: Settings, url: str, drain_seconds: float) -> None:
    """The recorder: first the migrations, then the journal."""
    from app.recorder.files import identify_recorder

    # The database may be away for as long as it takes the proxy to fill the journal's disk.
    identify_recorder(settings.journal_dir, socket.gethostname())
    if settings.db_upgrade:
        admin = settings.database_url_admin
        _run_apart(partial(_upgrade, admin.get_secret_value() if admin else url))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_record(settings, url, drain_seconds))


async def _record(settings: Settings, url: str, drain_seconds: float) -> None:
    from app.recorder.price_file import own_prices
    from app.recorder.prices import Prices
    from app.recorder.process import RecorderOptions, run_recorder
    from app.store.database.retention import Horizon

    gc.freeze()
    gc.set_threshold(RECORDER_GC_OBJECTS, 50, 100)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    admin = settings.database_url_admin
    options = RecorderOptions(
        journal_dir=settings.journal_dir,
        database_url=url,
        hostname=socket.gethostname(),
        admin_url=admin.get_secret_value() if admin else None,
        journal_max_bytes=settings.journal_max_bytes,
        horizon=Horizon(settings.keep_content_days, settings.keep_metadata_days, settings.store_max_bytes),
        drain_seconds=drain_seconds,
        prices=Prices(own_prices(settings.prices)),
    )
    await run_recorder(options, stop)


def _run_apart(task: partial[None]) -> None:
    """Runs a task in a process of its own, so that what it imports does not stay; leaves at SIGTERM.

    The migrations' library alone would double the recorder's memory for good.
    """
    signal.signal(signal.SIGTERM, _leave)
    parent, parent_pipe = os.getpid(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(parent_pipe[1])
            die_with_parent(parent, parent_pipe[0], signal.SIGKILL)
            task()
        except BaseException:  # noqa: BLE001 - the root of a process; the recorder goes on and says what it lacks
            event_logger("process").exception("process_failed")
        finally:
            os._exit(0)
    os.close(parent_pipe[0])
    try:
        os.waitpid(child, 0)
    except SystemExit:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(parent_pipe[1])


def _upgrade(url: str) -> None:
    """Brings the schema up to date, however long the database is away; says each new trouble once."""
    from app.store.database import migrate

    events = event_logger("migrate")
    delay_seconds, complaint = FIRST_UPGRADE_RETRY_SECONDS, ""
    # The embedded database starts at the same time, and takes a second the first time: no trouble yet.
    quiet_until_ns = monotonic_ns() + int(QUIET_UPGRADE_SECONDS * 1e9)
    while True:
        try:
            events.info("schema_ready", version=asyncio.run(migrate.upgrade(url)))
            return
        except StoreError as error:
            if str(error) != complaint and monotonic_ns() >= quiet_until_ns:
                complaint = str(error)
                events.warning("schema_waits", error=complaint)
        time.sleep(delay_seconds)
        delay_seconds = min(delay_seconds * 2, LAST_UPGRADE_RETRY_SECONDS)


def console(settings: Settings, url: str, sockets: list[socket.socket], token: str) -> None:
    """The console."""
    from app.api.grants import token_hash
    from app.api.server import create_console, run_console
    from app.cli.messages import readers
    from app.store.database.pool import Pool
    from app.store.reading.query import Query

    pool = Pool(url, application="verbatim console")
    hosts = settings.console_host_names()
    made = create_console(
        Query(pool),
        token_hash(token),
        hosts,
        readers(),
        pool.close,
        store_max_bytes=settings.store_max_bytes,
    )
    run_console(made, sockets)


def database(settings: Settings) -> None:
    """The keeper of the embedded PostgreSQL: ends with it, so that the supervisor starts both again."""
    from app.store.database.embedded import EmbeddedPostgres

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
