"""The parts that a command runs, each as child processes of one supervisor."""

from __future__ import annotations

import enum
import importlib
import os
import signal
import socket
import sys
from functools import partial

from app.cli import children
from app.cli.banner import Started, print_started
from app.cli.console_token import console_token
from app.cli.data_dir import prepare_data_dir, try_disk
from app.cli.listeners import bind
from app.cli.process import forbid_core_dumps, raise_file_limit
from app.cli.supervisor import ChildSpec, Supervisor
from app.config import Settings, forget_secrets
from app.config.settings import LOOPBACK_HOSTS
from app.errors import ConfigError
from app.recorder.price_file import own_prices
from app.telemetry.logs import event_logger, setup_logging
from app.telemetry.metrics import MetricsMap

STOP_GRACE_SECONDS = 10.0
RECORDER_DRAIN_SECONDS = 30.0


class Part(enum.Enum):
    """What can run by itself."""

    PROXY = "proxy"
    RECORDER = "record"
    CONSOLE = "console"


def run_parts(settings: Settings, parts: set[Part], *, with_database: bool = False) -> None:
    """Runs parts until told to stop, then exits the process. Raises ConfigError for what cannot start.

    `with_database` has an embedded PostgreSQL among them where no database URL is set.
    """
    forbid_core_dumps()
    forget_secrets(os.environ)
    raise_file_limit()
    setup_logging(settings.log_level, "supervisor")
    embedded = with_database and settings.database_url is None
    if settings.database_url is None and not embedded and parts != {Part.PROXY}:
        raise ConfigError(
            "VERBATIM_DATABASE_URL is not set, and only `verbatim serve` runs a PostgreSQL of its own; "
            "it takes a URL such as postgresql://user:password@host:5432/database"
        )
    if Part.RECORDER in parts:
        own_prices(settings.prices)  # what is wrong in it stops the start
    if parts != {Part.CONSOLE}:
        prepare_data_dir(settings.data_dir)
        try_disk(settings.data_dir)
    token = console_token(settings) if Part.CONSOLE in parts else None
    proxy_sockets = bind(settings.host, settings.port, "VERBATIM_") if Part.PROXY in parts else []
    console_sockets = (
        bind(settings.console_host, settings.console_port, "VERBATIM_CONSOLE_")
        if Part.CONSOLE in parts
        else []
    )
    _warn_if_open(settings, parts)
    url = _database_url(settings) if parts != {Part.PROXY} else ""
    pages = MetricsMap(settings.workers)
    specs: list[ChildSpec] = []
    if Part.PROXY in parts:
        specs += _workers(settings, proxy_sockets, pages)
    if Part.RECORDER in parts:
        specs.append(_recorder(settings, url))
    if token is not None:
        specs.append(_console(settings, url, console_sockets, token))
    if embedded:
        specs.append(_database(settings))
    _import_shared(parts)
    print_started(settings, Started(proxy_sockets, console_sockets, embedded=embedded))
    sys.exit(Supervisor(specs, settings.log_level).run())


def _warn_if_open(settings: Settings, parts: set[Part]) -> None:
    """Whoever reaches the proxy may use it: it asks for no credential of its own."""
    if Part.PROXY in parts and settings.host not in LOOPBACK_HOSTS:
        advice = "let a firewall or an inner network say who reaches it, or set VERBATIM_HOST"
        event_logger("supervisor").warning("open_to_others", host=settings.host, advice=advice)


def _import_shared(parts: set[Part]) -> None:
    """Imports what several children need once, before they are forked: they share its memory and start in no time.

    Nothing that a proxy worker must not have: no database driver.
    """
    for module in ("app.proxy.worker",) if Part.PROXY in parts else ("fastapi", "uvicorn", "uvloop"):
        importlib.import_module(module)


def _database_url(settings: Settings) -> str:
    """The database that is set, or the embedded one's, which has its address before it runs."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    from app.store.database.cluster import find_cluster

    return find_cluster(settings.data_dir).url


def _workers(settings: Settings, sockets: list[socket.socket], pages: MetricsMap) -> list[ChildSpec]:
    return [
        ChildSpec(
            name=f"proxy-{slot}",
            main=partial(children.work, settings, sockets, slot, pages),
            stop_order=0,
            grace_seconds=settings.drain_seconds + STOP_GRACE_SECONDS,
            # Answers that are under way when the supervisor is killed still run to their end.
            orphan_signal=signal.SIGTERM,
            sockets=sockets,
        )
        for slot in range(settings.workers)
    ]


def _recorder(settings: Settings, url: str) -> ChildSpec:
    return ChildSpec(
        name="recorder",
        main=partial(children.record, settings, url, RECORDER_DRAIN_SECONDS),
        stop_order=1,
        grace_seconds=RECORDER_DRAIN_SECONDS + STOP_GRACE_SECONDS,
        # What it has not delivered is in the journal: better to free the journal's lock at once.
        orphan_signal=signal.SIGKILL,
    )


def _console(settings: Settings, url: str, sockets: list[socket.socket], token: str) -> ChildSpec:
    return ChildSpec(
        name="console",
        main=partial(children.console, settings, url, sockets, token),
        stop_order=2,
        grace_seconds=STOP_GRACE_SECONDS,
        orphan_signal=signal.SIGKILL,
        sockets=sockets,
    )


def _database(settings: Settings) -> ChildSpec:
    return ChildSpec(
        name="database",
        main=partial(children.database, settings),
        stop_order=3,
        grace_seconds=60.0,
        orphan_signal=signal.SIGTERM,
    )
