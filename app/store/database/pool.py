"""Connections to PostgreSQL with a time limit on every step.

A connection on which anything is in doubt (a time limit, a cut, a cancelled task) is torn down, not closed politely: a
server that has stopped never answers a goodbye. That also stands in for keepalive and TCP_USER_TIMEOUT: nobody waits on
a silent server for longer than a command may take.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from app.errors import StoreMisconfiguredError
from app.store.database.failures import is_certain, translated
from app.store.statements import statements

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 15.0
ROLLBACK_SECONDS = 5.0
ACQUIRE_SECONDS = 15.0
IDLE_SECONDS = 300.0


class Pool:
    """Up to `size` connections to one database, made when first needed.

    `url` is `postgresql://…`; besides PostgreSQL's own parameters it takes `statement_cache_size=0`, for PgBouncer.
    Every error leaves as one of app.errors' StoreErrors.
    """

    def __init__(self, url: str, *, size: int = 4, application: str = "verbatim") -> None:
        self._url = url
        self._size = size
        self._application = application
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._sql = statements("session")

    def __repr__(self) -> str:
        return f"Pool({'closed' if self._pool is None else 'open'}, size={self._size})"

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """A connection inside a transaction with its limits set; committed at the end unless something is raised.

        A commit whose answer is lost raises StoreUnavailableError: it may have happened.
        """
        with translated():
            async with self._acquired() as connection:
                transaction = connection.transaction(readonly=readonly)
                try:
                    await transaction.start()
                    await connection.execute(self._sql["limit_reading" if readonly else "limit_transaction"])
                    yield connection
                    await transaction.commit()
                except BaseException as error:
                    await _abandon(connection, transaction, error)
                    raise

    @asynccontextmanager
    async def maintenance(self) -> AsyncIterator[Connection]:
        """A connection of its own outside of any transaction: what is locked is waited for briefly, work is not cut."""
        with translated():
            connection = await connect(self._url, command_seconds=None, application=self._application)
            try:
                await connection.execute(self._sql["limit_maintenance"])
                yield connection
            finally:
                connection.terminate()

    async def close(self) -> None:
        """Ends all connections at once; what is running on them is lost."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            self._pool = await self._open()
        pool = self._pool
        connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
        try:
            yield connection
        finally:
            await pool.release(connection, timeout=ROLLBACK_SECONDS)

    async def _open(self) -> asyncpg.Pool[asyncpg.Record]:
        url, statement_cache = split_url(self._url)
        return await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=self._size,
            max_inactive_connection_lifetime=IDLE_SECONDS,
            reset=_nothing_to_reset,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            statement_cache_size=statement_cache,
            server_settings={"application_name": self._application},
        )


async def connect(
    url: str, *, command_seconds: float | None = COMMAND_SECONDS, application: str = "verbatim"
) -> asyncpg.Connection[asyncpg.Record]:
    """A single connection, for callers that use it once; raises the driver's own errors (see failures.translated)."""
    url, statement_cache = split_url(url)
    return await asyncpg.connect(
        url,
        timeout=CONNECT_SECONDS,
        command_timeout=command_seconds,
        statement_cache_size=statement_cache,
        server_settings={"application_name": application},
    )


def split_url(url: str) -> tuple[str, int]:
    """The URL for asyncpg, and the size of the statement cache that was asked for in it (default 100)."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise StoreMisconfiguredError("a database URL begins with postgresql://")
    query = parse_qsl(parts.query, keep_blank_values=True)
    sizes = [value for name, value in query if name == "statement_cache_size"]
    if not sizes:
        return url, 100
    if not sizes[-1].isdecimal():
        raise StoreMisconfiguredError("statement_cache_size in a database URL takes a number")
    rest = urlencode([(name, value) for name, value in query if name != "statement_cache_size"])
    # urlunsplit drops the empty authority of postgresql:///name, and asyncpg wants it.
    return f"{parts.scheme}://{parts.netloc}{urlunsplit(('', '', parts.path, rest, ''))}", int(sizes[-1])


async def _nothing_to_reset(_connection: object) -> None:
    """All settings are SET LOCAL: asyncpg's own reset would cost a round trip."""


async def _abandon(
    connection: Connection, transaction: asyncpg.transaction.Transaction, error: BaseException
) -> None:
    """Rolls back where PostgreSQL itself said no; tears the connection down in every other case."""
    # asyncpg has let go of a connection that the other side closed, and refuses to do anything more with it.
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        if is_certain(error) and not connection.is_closed():
            async with asyncio.timeout(ROLLBACK_SECONDS):
                await transaction.rollback()
            return
    with suppress(asyncpg.InterfaceError):
        connection.terminate()
