"""Bodies of a gigabyte, and of a million pieces: they pass, are on record, and take no memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.upstream import Connection, ScriptedUpstream
from tests.faults.conftest import Row
from tests.faults.injectors import peak_mib, processes
from tests.faults.judge import check_ledger, fetch
from tests.product import Product, running_product

BLOCK_BYTES = 65_536
MB = 1_000_000
SIZES_MB = (100, 1000) if "SOAK" in os.environ else (10, 40)
"""The first one is what memory is compared with."""
CRUMBS = (100_000, 1_000_000) if "SOAK" in os.environ else (2_000, 20_000)
CRUMBS_AT_ONCE = 500
GROWTH_MIB = 20
SQL = "SELECT id, request_bytes, request_sha256, response_bytes, response_sha256 FROM exchanges WHERE id = $1"


def blocks(size: int) -> Iterator[bytes]:
    """So many bytes that follow from their number."""
    for position in range(0, size, BLOCK_BYTES):
        block = hashlib.sha256(b"%d/%d" % (size, position)).digest() * (BLOCK_BYTES // 32)
        yield block[: size - position]


def digest(size: int) -> bytes:
    """The SHA-256 of them."""
    sha = hashlib.sha256()
    for block in blocks(size):
        sha.update(block)
    return sha.digest()


async def vast_upstream(connection: Connection) -> None:
    """`/v1/down/SIZE` sends so many bytes, `/v1/crumbs/COUNT` chunks of one byte; `/v1/up` answers with a digest."""
    while (request := await connection.read_head()) is not None:
        what, *sizes = request.target.split(b"/")[2:]
        if what == b"up":
            left, sha = int(request.field(b"content-length") or 0), hashlib.sha256()
            while left:
                data = await connection.read_some()
                sha.update(data)
                left -= len(data)
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" + sha.digest())
            continue
        size = int(sizes[0])
        if what == b"down":
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for block in blocks(size):
                await connection.send(block)
            continue
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(size // CRUMBS_AT_ONCE):
            await connection.send(b"1\r\nx\r\n" * CRUMBS_AT_ONCE)
        await connection.send(b"0\r\n\r\n")


@pytest.mark.row("U5", ci=1, soak=1)
@pytest.mark.parametrize("what", ["up", "down", "crumbs"])
async def test_a_body_ten_times_as_long_takes_no_more_memory(
    tmp_path: Path, database_url: str, row: Row, what: str
) -> None:
    async with (
        ScriptedUpstream(vast_upstream) as upstream,
        running_product(
            tmp_path / "data",
            upstream=f"http://127.0.0.1:{upstream.port}",
            database_url=database_url,
            log_level="info",
        ) as product,
    ):
        peaks = []
        for size in CRUMBS if what == "crumbs" else [each * MB for each in SIZES_MB]:
            exchange_id, got = await _call(product, what, size)
            found = await _recorded(database_url, exchange_id)
            wanted = hashlib.sha256(b"x" * size).digest() if what == "crumbs" else digest(size)
            assert got == wanted
            way = "request" if what == "up" else "response"
            assert (found[f"{way}_bytes"], found[f"{way}_sha256"]) == (size, wanted)
            assert await asyncio.to_thread(_kept, product, exchange_id, way) == wanted
            peaks.append({pid: peak_mib(pid) for pid in processes(product)})
        first, last = peaks
        assert max(last.values()) <= 300, "I7"
        grown = max(last[pid] - first.get(pid, 0) for pid in last)
        assert grown <= GROWTH_MIB, f"{grown} MiB more: {first}, {last}"
        await check_ledger(product, database_url)
        row.tell(
            **{what: f"{size:,} bytes, {grown} MiB more than for a tenth, {max(last.values())} MiB at most"}
        )


async def _call(product: Product, what: str, size: int) -> tuple[str, bytes]:
    """The exchange's id, and the digest of what came down (`up`: the one that the upstream sent)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", product.port)
    if what == "up":
        writer.write(b"POST /v1/up HTTP/1.1\r\nHost: p\r\nContent-Length: %d\r\n\r\n" % size)
        for block in blocks(size):
            writer.write(block)
            await writer.drain()
    else:
        writer.write(f"GET /v1/{what}/{size} HTTP/1.1\r\nHost: p\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    exchange_id = head.partition(b"x-verbatim-exchange-id:")[2].split()[0].decode()
    try:
        if what == "up":
            return exchange_id, await reader.readexactly(32)
        sha = hashlib.sha256()
        if what == "down":
            while size:
                data = await reader.read(min(size, BLOCK_BYTES))
                assert data
                sha.update(data)
                size -= len(data)
        else:
            while length := int(await reader.readuntil(b"\r\n"), 16):
                sha.update(await reader.readexactly(length))
                await reader.readexactly(2)
        return exchange_id, sha.digest()
    finally:
        writer.close()
        await writer.wait_closed()


async def _recorded(url: str, exchange_id: str) -> dict[str, object]:
    async with asyncio.timeout(300):
        while not (found := await fetch(url, SQL, uuid.UUID(exchange_id))):
            await asyncio.sleep(0.2)
    return dict(found[0])


def _kept(product: Product, exchange_id: str, way: str) -> bytes:
    """The digest of what the console gives back."""
    request = urllib.request.Request(
        f"{product.console_url}/api/exchanges/{exchange_id}/{way}",
        headers={"Authorization": f"Bearer {product.token}"},
    )
    sha = hashlib.sha256()
    with urllib.request.urlopen(request, timeout=300) as answer:
        while data := answer.read(BLOCK_BYTES):
            sha.update(data)
    return sha.digest()
