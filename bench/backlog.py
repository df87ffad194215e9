"""How fast one recorder empties a journal, and what it holds while it meets bodies of 100 MB."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.error
from dataclasses import dataclass
from pathlib import Path

from app.store.search.process import APPLICATION as BUILDER_APPLICATION
from bench import backends, processes, record, wrk
from bench.payloads import numbered, request_parts
from tests.product import Product

BIG_BYTES = 100_000_000
BIG_PATH = "/v1/big"
RECORDER, DATABASE, BUILDER = "recorder", "PostgreSQL", "search builder"
"""Who takes CPU for the record; the search builder with its own backend of PostgreSQL."""
_ID_FIELD = b"x-verbatim-exchange-id: "
_MOST_WINDOWS = 5
_POLL_SECONDS = 0.2
_WAIT_SECONDS = 120.0
_BUILDER_SECONDS = 60.0
_LOOK_SECONDS, _IDLE_SHARE = 4.0, 0.05
"""The builder looks for work every two seconds."""


@dataclass(frozen=True, slots=True)
class Drain:
    """A backlog and what became of it."""

    exchanges: int
    seconds: float
    """From the moment that the recorder went on until the last of them could be read."""
    cpu_us: dict[str, float]
    """CPU per exchange, by process."""
    made_rate: float = 0.0
    """Exchanges a second that the worker took into its journal while the recorder was held."""

    @property
    def rate(self) -> float:
        """Exchanges a second."""
        return self.exchanges / self.seconds

    @property
    def recording_us(self) -> float:
        """CPU per exchange of recorder and PostgreSQL."""
        return self.cpu_us[RECORDER] + self.cpu_us[DATABASE]


@dataclass(frozen=True, slots=True)
class Processes:
    """Who works on a backlog, by process id."""

    recorder: int
    database: int
    database_url: str


async def measure_drain(
    product: Product, tool: str, folder: Path, who: Processes, *, connections: int, exchanges: int
) -> Drain:
    """Holds the recorder while clients make a backlog of at least so many exchanges, lets it go, and waits until the
    last of them is recorded.

    Recorder and PostgreSQL may use all cores: the proxy has nothing to do meanwhile.
    """
    for pid in (*processes.tree(who.recorder), *processes.tree(who.database)):
        processes.pin(pid, set(range(os.cpu_count() or 1)))
    parts = request_parts(f"127.0.0.1:{product.port}", stream=False)
    accepted = await _accepted(product)
    await _until_searchable(who)
    os.kill(who.recorder, signal.SIGSTOP)
    try:
        made: list[wrk.WrkResult] = []
        while sum(each.answered for each in made) < exchanges and len(made) < _MOST_WINDOWS:
            made.append(
                await wrk.run(tool, folder, product.port, parts, connections=connections, seconds=1, start=0)
            )
        last = await _send(product.port, numbered(parts, 1))
        backlog = await _accepted(product) - accepted
        before = _cpu_seconds(who)
    finally:
        begun = time.perf_counter()
        os.kill(who.recorder, signal.SIGCONT)
    async with backends.watched(who.database_url, BUILDER_APPLICATION) as builders:
        await _until_recorded(product, last)
        took = time.perf_counter() - begun
    # After the last look, so that nothing is taken off that is not in it.
    after = _cpu_seconds(who)
    after[DATABASE] -= builders.cpu_seconds
    after[BUILDER] += builders.cpu_seconds
    cpu_us = {name: (after[name] - before[name]) * 1e6 / backlog for name in before}
    return Drain(backlog, took, cpu_us, max(each.rate for each in made))


async def measure_big_bodies(product: Product, who: Processes, count: int) -> processes.Memory:
    """Requests and answers of 100 MB, one after another; what the recorder held at most until they were recorded."""
    host = f"Host: 127.0.0.1:{product.port}\r\n".encode()
    fields = host + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % BIG_BYTES
    opening, closing = b'{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "', b'"}]}'
    body = opening + b"0123456789abcdef" * (BIG_BYTES // 16)
    body = body[: BIG_BYTES - len(closing)] + closing
    for _ in range(count):
        last = await _send(product.port, b"POST /v1/chat/completions HTTP/1.1\r\n" + fields + body)
        await _until_recorded(product, last)
        last = await _send(product.port, f"GET {BIG_PATH} HTTP/1.1\r\n".encode() + host + b"\r\n")
        await _until_recorded(product, last)
    return processes.memory(who.recorder)


def _cpu_seconds(who: Processes) -> dict[str, float]:
    recorder = processes.cpu_seconds(who.recorder)
    return {
        RECORDER: recorder,
        DATABASE: processes.tree_cpu_seconds(who.database),
        # A process below the recorder that works at its leisure.
        BUILDER: max(0.0, processes.tree_cpu_seconds(who.recorder) - recorder),
    }


async def _until_searchable(who: Processes) -> None:
    """Waits until the search builder has done with what came before, or for a minute."""
    deadline = time.monotonic() + _BUILDER_SECONDS
    busy_seconds = 1.0
    while busy_seconds > _IDLE_SHARE * _LOOK_SECONDS and time.monotonic() < deadline:
        before = _cpu_seconds(who)[BUILDER]
        await asyncio.sleep(_LOOK_SECONDS)
        busy_seconds = _cpu_seconds(who)[BUILDER] - before


async def _accepted(product: Product) -> int:
    return int(record.metric(await record.proxy_metrics(product), "verbatim_exchanges_accepted_total"))


async def _send(port: int, request: bytes) -> str:
    """One exchange; its id, when its answer is whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while length > 0:
            length -= len(await reader.read(min(length, 1 << 20)))
        return head.partition(_ID_FIELD)[2].partition(b"\r\n")[0].decode()
    finally:
        writer.close()


async def _until_recorded(product: Product, exchange_id: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            await asyncio.to_thread(product.get, f"/api/exchanges/{exchange_id}/chunks")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return
    raise RuntimeError(f"exchange {exchange_id} is not recorded after {_WAIT_SECONDS:.0f} s")
