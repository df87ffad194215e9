"""The whole product between an upstream, clients and a database, all of which follow the oracle."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.upstream import ScriptedUpstream
from tests.faults.judge import Allowed, Verdict, judge
from tests.faults.oracle import Clients, oracle_upstream
from tests.product import Product, running_product
from tests.recorder.postgres_proxy import Gate, gate


@dataclass
class World:
    """What a fault is done to."""

    upstream: ScriptedUpstream
    clients: Clients
    way: Gate
    """To the database; the product has no other."""
    database_url: str
    """Straight to it, for the judge."""
    data_dir: Path
    settings: dict[str, Any]
    _product: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def product(self) -> Product:
        """The one that runs now."""
        return self.clients.product

    async def start(self) -> None:
        """Starts the product."""
        self.clients.product = await self._product.enter_async_context(
            running_product(
                self.data_dir,
                upstream=f"http://127.0.0.1:{self.upstream.port}",
                database_url=self.way.url,
                **self.settings,
            )
        )

    async def stop(self) -> None:
        """Ends the product, if it did not end by itself."""
        await self._product.aclose()

    @asynccontextmanager
    async def load(self, streams: int, chunks: int = 20, pause_ms: int = 20) -> AsyncIterator[None]:
        """Clients ask all the while."""
        stop = asyncio.Event()
        tasks = self.clients.load(stop, streams, chunks, pause_ms)
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def metric(self, name: str) -> float:
        """One of the proxy's numbers, the workers' added up."""

        def read() -> bytes:
            with urllib.request.urlopen(f"{self.product.proxy_url}/metrics", timeout=30) as answer:
                return bytes(answer.read())

        lines = (await asyncio.to_thread(read)).decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name
        )

    async def judge(self, allowed: Allowed | None = None) -> Verdict:
        """Checks every invariant; the database has to be there."""
        return await judge(self.clients, self.database_url, allowed)


@asynccontextmanager
async def world(
    folder: Path, database_url: str, *, is_started: bool = True, **settings: Any
) -> AsyncIterator[World]:
    """A running product with its surroundings."""
    async with ScriptedUpstream(oracle_upstream) as upstream, gate(database_url) as way:
        nobody: Product = None  # type: ignore[assignment]  # until it is started
        made = World(upstream, Clients(nobody), way, database_url, folder / "data", settings)
        if is_started:
            await made.start()
        try:
            yield made
        finally:
            await made.stop()
