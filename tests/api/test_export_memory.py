"""An export of any length takes the same memory."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import httpx
import pytest

from app.store.database.pool import Pool
from app.store.writing.ingest import Ingest
from tests.api.many_exchanges import copy_exchange
from tests.cli.processes import children_of
from tests.product import running_product
from tests.store.samples import talk

COUNT = 20_000
MOST_GROWTH_KIB = 24 << 10
MOST_KIB = 150 << 10
SAID = "The quick brown fox jumps over the lazy dog. " * 40


@pytest.mark.timeout(120)
async def test_an_export_of_many_takes_the_memory_of_an_export_of_few(
    postgres_server, database_url, tmp_path: Path
):
    pool = Pool(database_url)
    asked = json.dumps({"messages": [{"role": "user", "content": SAID}]}).encode()
    await Ingest(pool, uuid.UUID(int=1 << 100)).deliver([talk(asked, b'{"choices": []}')])
    await pool.close()
    copy_exchange(postgres_server, database_url, COUNT)
    async with running_product(
        tmp_path / "data", "console", wait_for="console", database_url=database_url
    ) as product:
        (console,) = children_of(product.process.pid).values()
        headers = {"Authorization": f"Bearer {product.token}"}
        async with httpx.AsyncClient(base_url=product.console_url, headers=headers, timeout=60) as client:

            async def count(query: str) -> int:
                lines = 0
                async with client.stream("GET", f"/api/export?{query}") as answer:
                    async for piece in answer.aiter_bytes():
                        lines += piece.count(b"\n")
                return lines

            for query in (
                "format=jsonl&order=asc",
                "format=parquet&messages=false",
                "format=csv&messages=false",
            ):
                await count(f"{query}&limit=2000")
            before = peak_kib(console)
            assert await count("format=csv&messages=false") == COUNT + 2
            assert await count("format=jsonl") == COUNT + 1
            await count("format=parquet&messages=false")
            after = peak_kib(console)
    print(f"{before} KiB, then {after} KiB")
    assert after - before < MOST_GROWTH_KIB
    assert after < MOST_KIB


def peak_kib(pid: int) -> int:
    """The most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
