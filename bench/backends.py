"""CPU of PostgreSQL's backends that serve one application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from bench import processes

_LOOK_SECONDS = 0.1
"""What a backend takes between the last look and its end is not seen."""
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = $1"


class Backends:
    """What they took since the first look, those that have ended included."""

    def __init__(self, connection: asyncpg.Connection, application: str) -> None:
        self._connection = connection
        self._application = application
        self._first_seconds: dict[int, float] = {}
        self._last_seconds: dict[int, float] = {}
        self._has_looked = False

    @property
    def cpu_seconds(self) -> float:
        """By the last look."""
        return sum(self._last_seconds.values()) - sum(self._first_seconds.values())

    async def look(self) -> None:
        """Reads their clocks; whoever is not there yet begins with nothing."""
        for row in await self._connection.fetch(_BACKENDS, self._application):
            with suppress(OSError):
                seconds = processes.cpu_seconds(row["pid"])
                self._first_seconds.setdefault(row["pid"], 0.0 if self._has_looked else seconds)
                self._last_seconds[row["pid"]] = seconds
        self._has_looked = True


@asynccontextmanager
async def watched(url: str, application: str) -> AsyncIterator[Backends]:
    """Looks at them ten times a second, from the beginning to the very end."""
    connection = await asyncpg.connect(url)
    backends = Backends(connection, application)
    stopped = asyncio.Event()

    async def look_on() -> None:
        while not stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), _LOOK_SECONDS)
            await backends.look()

    try:
        await backends.look()
        async with asyncio.TaskGroup() as group:
            group.create_task(look_on())
            try:
                yield backends
            finally:
                stopped.set()
    finally:
        await connection.close()
