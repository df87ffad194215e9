"""A console on a real socket over a database of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from app.api.grants import token_hash
from app.api.server import console_server, create_console
from app.cli.listeners import bind
from app.cli.messages import readers
from app.store.database.pool import Pool
from app.store.reading.query import Query
from app.store.writing.ingest import Ingest
from app.telemetry.tasks import spawn

TOKEN = "test-token"
RECORDER = uuid.UUID("01890000-0000-7000-8000-000000000001")


@dataclass
class Console:
    """A running console, and a client that bears its token."""

    url: str
    client: httpx.AsyncClient
    ingest: Ingest

    async def get(self, path: str, **options) -> httpx.Response:
        return await self.client.get(path, **options)

    async def ids(self, query: str = "") -> list[str]:
        answer = await self.get(f"/api/exchanges{query}")
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["data"]]


@contextlib.asynccontextmanager
async def running_console(
    url: str, hosts: frozenset[str] = frozenset({"127.0.0.1"})
) -> AsyncIterator[Console]:
    """A console over a database that is there or not."""
    sockets = bind("127.0.0.1", 0, "VERBATIM_CONSOLE_")
    base = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    pool = Pool(url)
    server = console_server(create_console(Query(pool), token_hash(TOKEN), hosts, readers()))
    serving = spawn(server.serve(sockets=sockets), name="console")
    async with httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        while not server.started:
            await asyncio.sleep(0.01)
        yield Console(base, client, Ingest(pool, RECORDER))
    server.should_exit = True
    await serving
    await pool.close()


@pytest.fixture
async def console(database_url: str) -> AsyncIterator[Console]:
    async with running_console(database_url) as running:
        yield running
