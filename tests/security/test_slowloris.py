"""Five thousand clients that drip: they end at their deadlines, and others do not notice."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from app.telemetry.tasks import spawn
from tests.fakes.upstream import ScriptedUpstream
from tests.product import running_product
from tests.security.test_smuggling import echoing

SOCKETS = 5_000
HEAD = b"POST /v1/x HTTP/1.1\r\nHost: p\r\nContent-Length: 1000\r\n"
PLAIN = b"GET /v1/plain HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n"
DRIP_SECONDS = 2.0
HEAD_ENDS_SECONDS = (9.0, 25.0)
BODY_ENDS_SECONDS = (59.0, 85.0)
"""A body that is silent; one that drips is held for as long as its sender likes, and counts among MAX_INFLIGHT."""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_five_thousand_slow_clients_end_in_time_and_nobody_waits_for_them(tmp_path):
    asyncio.get_running_loop().set_debug(False)  # five thousand clients are too many for it
    async with (
        ScriptedUpstream(echoing) as upstream,
        running_product(
            tmp_path / "data", "proxy", upstream=f"http://127.0.0.1:{upstream.port}", wait_for="proxy"
        ) as product,
    ):
        alone = await asked(product.port, seconds=5)
        turns, opened = asyncio.Semaphore(100), asyncio.Semaphore(0)
        begun = time.monotonic()
        drips = [
            spawn(drip(product.port, turns, opened, in_head=at % 2 == 0), name="drip")
            for at in range(SOCKETS)
        ]
        for _ in range(SOCKETS):
            await opened.acquire()
        meanwhile = await asked(product.port, seconds=20)
        ends = await asyncio.gather(*drips)
        assert time.monotonic() - begun < 200
        for at, seconds in enumerate(ends):
            low, high = HEAD_ENDS_SECONDS if at % 2 == 0 else BODY_ENDS_SECONDS
            assert low <= seconds <= high, (at, seconds)
        print(
            f"p99 alone {p99(alone) * 1e3:.1f} ms, among {SOCKETS} slow clients {p99(meanwhile) * 1e3:.1f} ms"
        )
        assert p99(meanwhile) < 10 * p99(alone) + 0.2


async def drip(port: int, turns: asyncio.Semaphore, opened: asyncio.Semaphore, *, in_head: bool) -> float:
    """How long one slow client is borne."""
    async with turns:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun = time.monotonic()
        writer.write(HEAD if in_head else HEAD + b"\r\nabc")
    opened.release()
    with contextlib.suppress(ConnectionError):
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(65536), DRIP_SECONDS)
                break
            if in_head:
                writer.write(b"X: y\r\n")
    writer.transport.abort()
    return time.monotonic() - begun


async def asked(port: int, seconds: float) -> list[float]:
    """How long ordinary calls take, one after another."""
    times: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PLAIN)
        assert (await reader.read()).endswith(b"/v1/plain")
        times.append(time.perf_counter() - begun)
        writer.close()
        await asyncio.sleep(0.005)
    return times


def p99(times: list[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]
