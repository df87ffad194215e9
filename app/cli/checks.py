"""What `verbatim doctor` looks at; each check ends within seconds and changes nothing that stays."""

from __future__ import annotations

import asyncio
import enum
import os
import shutil
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from app.cli.data_dir import try_disk
from app.cli.journal import JournalSummary, summarize
from app.cli.listeners import bind
from app.config import Settings, UpstreamAddress
from app.config.settings import WILDCARD_HOSTS
from app.errors import ConfigError, StoreError, VerbatimError
from app.proxy.dial import dial, make_tls_context
from app.proxy.upstream import Upstream

CONNECT_SECONDS = 10.0
HEALTH_SECONDS = 2.0
SHORT_TOKEN_CHARACTERS = 16


class State(enum.Enum):
    """How a part is."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    part: str
    state: State
    text: str
    advice: str = ""


async def check_data_dir(settings: Settings) -> list[Finding]:
    """Whether the data directory's disk does what the journal needs."""
    directory = settings.data_dir
    if not directory.exists():
        parent = next(each for each in directory.parents if each.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return [Finding("data", State.OK, f"{directory} is not there yet and can be made")]
        return [
            Finding(
                "data", State.WRONG, f"{directory} cannot be made", f"give this user the right to {parent}"
            )
        ]
    try:
        try_disk(directory)
    except VerbatimError as error:
        return [Finding("data", State.WRONG, str(error))]
    free = shutil.disk_usage(directory).free
    found = [Finding("data", State.OK, f"{directory} takes flock and fdatasync; {_size(free)} free")]
    if free < settings.journal_min_free_bytes:
        needed = _size(settings.journal_min_free_bytes)
        advice = f"free {needed} or lower VERBATIM_JOURNAL_MIN_FREE_BYTES"
        found.append(
            Finding("data", State.WRONG, f"only {_size(free)} are free: nothing is recorded", advice)
        )
    return found


async def check_journal(settings: Settings) -> list[Finding]:
    """What waits in the journal, and whether somebody empties it."""
    try:
        found = summarize(settings)
    except VerbatimError as error:
        return [Finding("journal", State.WRONG, str(error))]
    if found is None:
        return [Finding("journal", State.OK, "empty; nothing was recorded here yet")]
    return [_judge(found, settings)]


def _judge(found: JournalSummary, settings: Settings) -> Finding:
    text = (
        f"{found.segments} segments, {_size(found.size_bytes)} of {_size(settings.journal_max_bytes)}, "
        f"the oldest {found.oldest_seconds:.0f} s old"
    )
    if found.size_bytes >= settings.journal_max_bytes:
        return Finding("journal", State.WRONG, f"full: {text}", "see to the recorder and the database")
    if found.segments and not found.has_recorder:
        return Finding(
            "journal", State.NOTE, f"{text}; no recorder runs", "`verbatim serve` or `verbatim record`"
        )
    return Finding("journal", State.OK, text)


async def check_database(settings: Settings) -> list[Finding]:
    """Whether the database is there, of a version that will do, and migrated."""
    try:
        if settings.database_url is not None:
            return [await _ask_database(settings.database_url.get_secret_value())]
        return [await _check_embedded(settings)]
    except VerbatimError as error:
        return [Finding("database", State.WRONG, str(error))]


async def _check_embedded(settings: Settings) -> Finding:
    from app.store.database.cluster import find_cluster

    asleep = Finding("database", State.OK, "PostgreSQL of its own; it starts with `verbatim serve`")
    if not settings.data_dir.exists():
        return asleep
    url = find_cluster(settings.data_dir).url
    try:
        return await _ask_database(url)
    except StoreError:
        if ask_health(settings.host, settings.port, tls=settings.tls_cert is not None):
            raise
        return asleep


async def _ask_database(url: str) -> Finding:
    from app.store.database import migrate

    version = await migrate.current(url)
    if version is None or version < migrate.newest():
        text = f"reached; its schema is at {version or 'nothing'}, and {migrate.newest()} is needed"
        return Finding(
            "database", State.NOTE, text, "`verbatim db upgrade`, or the recorder does it at its start"
        )
    await migrate.check(url)
    return Finding("database", State.OK, f"reached; its schema is at {version}")


async def check_upstreams(settings: Settings) -> list[Finding]:
    """Whether each upstream answers over the very connections that the proxy makes."""
    return list(await asyncio.gather(*(_try_upstream(each, settings) for each in settings.upstream_table())))


async def _try_upstream(address: UpstreamAddress, settings: Settings) -> Finding:
    place = f"{address.name}: {address.scheme}://{address.host}:{address.port}"
    upstream = Upstream(address.name, address.scheme, address.host, address.port, address.prefix)
    knock = _Knock()
    try:
        tls = make_tls_context(str(settings.upstream_ca) if settings.upstream_ca else None)
        await dial(
            upstream, knock, tls=tls if address.scheme == "https" else None, timeout_seconds=CONNECT_SECONDS
        )
    except VerbatimError as error:
        return Finding("upstream", State.WRONG, f"{address.name}: {error}")
    knock.close()
    return Finding("upstream", State.OK, f"{place} takes connections")


class _Knock(asyncio.Protocol):
    """A connection that is made and closed."""

    def __init__(self) -> None:
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def close(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.close()


async def check_listeners(settings: Settings) -> list[Finding]:
    """Whether the ports are free, or Verbatim's already."""
    found = [
        _try_listener("proxy", settings.host, settings.port, "VERBATIM_", tls=settings.tls_cert is not None)
    ]
    if settings.console:
        prefix = "VERBATIM_CONSOLE_"
        found.append(
            _try_listener("console", settings.console_host, settings.console_port, prefix, tls=False)
        )
    token = settings.console_token
    if token is not None and len(token.get_secret_value()) < SHORT_TOKEN_CHARACTERS:
        advice = "take a random one of 32 characters or more"
        found.append(
            Finding("console", State.NOTE, "VERBATIM_CONSOLE_TOKEN is short enough to be guessed", advice)
        )
    return found


def _try_listener(part: str, host: str, port: int, prefix: str, *, tls: bool) -> Finding:
    if port and ask_health(host, port, tls=tls):
        return Finding(part, State.OK, f"runs on {host}:{port}")
    try:
        for listening in bind(host, port, prefix):
            listening.close()
    except ConfigError as error:
        return Finding(part, State.WRONG, str(error))
    return Finding(part, State.OK, f"does not run; {host}:{port} is free")


def ask_health(host: str, port: int, *, tls: bool) -> bool:
    """Whether a Verbatim answers on this port of this machine."""
    name = "localhost" if host in WILDCARD_HOSTS else host
    if tls:
        # It is our own listener, on this machine: only whether it answers is asked, no secret is sent.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection: HTTPConnection = HTTPSConnection(name, port, timeout=HEALTH_SECONDS, context=context)
    else:
        connection = HTTPConnection(name, port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException, socket.gaierror):
        return False
    finally:
        connection.close()


def _size(size_bytes: int) -> str:
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
