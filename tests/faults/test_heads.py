"""Heads that are too large or have no end: refused, cut off, and all but free."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.conftest import Row
from tests.faults.injectors import peak_mib, processes
from tests.faults.oracle import CANARY
from tests.faults.world import World, world

LIMIT_BYTES = 64 << 10
FIELD = b"X: " + b"a" * 8000 + b"\r\n"
TOO_LARGE = {"64 KiB": FIELD * (LIMIT_BYTES // len(FIELD) + 1), "101 fields": b"X: y\r\n" * 101}
FLOOD_BYTES = 200_000_000
MOST_FLOOD_BYTES = 16 << 20
"""What goes off before the sender hears that nobody reads it: mostly buffers of the kernel's."""
HEAD_MIB = 1
"""What a head may cost at most."""
NOISE_MIB = 10
CUT_SECONDS = 60.0


@pytest.mark.row("A5", ci=10, soak=100)
async def test_heads_that_are_too_large_are_refused_and_those_without_end_cut_off_for_next_to_no_memory(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with world(tmp_path, database_url) as made:
        async with made.load(5):
            await asyncio.sleep(0.5)
            (worker,) = processes(made.product, "proxy")
            before = peak_mib(worker)
            for name, fields in TOO_LARGE.items():
                answers = await asyncio.gather(*[_answer_to(made, fields) for _ in range(row.times)])
                assert {answer[:12] for answer in answers} == {b"HTTP/1.1 431"}, name
            sent = await asyncio.gather(*[_flood(made) for _ in row.turns()])
            assert max(sent) < MOST_FLOOD_BYTES
        grown = peak_mib(worker) - before
        assert grown <= NOISE_MIB + HEAD_MIB * row.times, f"{grown} MiB for {row.times} connections at once"
        verdict = await made.judge()
        row.tell(held=verdict, flood=f"cut off after {max(sent):,} bytes at most", worker=f"{grown} MiB more")


def _head(made: World) -> bytes:
    made.clients.numbers += 1
    target = f"/v1/{made.clients.numbers}/1/0"
    return f"GET {target} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {CANARY}\r\n".encode()


async def _answer_to(made: World, fields: bytes) -> bytes:
    """All that comes until the connection ends, which it does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.product.port)
    writer.write(_head(made) + fields + b"\r\n")
    async with asyncio.timeout(CUT_SECONDS):
        answer = await reader.read()
    writer.transport.abort()
    return answer


async def _flood(made: World) -> int:
    """Sends one field without end; how many bytes went off before the connection was cut."""
    _, writer = await asyncio.open_connection("127.0.0.1", made.product.port)
    sent = 0
    try:
        writer.write(_head(made) + b"X: ")
        async with asyncio.timeout(CUT_SECONDS):
            while sent < FLOOD_BYTES:
                writer.write(b"a" * 65536)
                sent += 65536
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return sent
