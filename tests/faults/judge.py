"""Compares what clients got, what the upstream sent and what is on record, by the invariants of docs/reliability.md."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
import time
import urllib.error
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.faults.injectors import peak_mib, processes
from tests.faults.oracle import CANARY, Clients, Received, expected
from tests.product import Product

BACK_SECONDS = 10.0
"""I6: a fresh call is on record so long after the fault."""
DRAIN_SECONDS = 120.0
MOST_MIB = 300
SAMPLES = 60
ROWS = "SELECT id, path, outcome, status, capture_status, response_bytes, response_sha256 FROM exchanges"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a fault may do; nothing unless it says so."""

    outcomes: frozenset[str] = frozenset({"completed"})
    """How an exchange whose client was let down may have ended."""
    unanswered: bool = False
    """Calls may have found nobody."""
    missing: bool = False
    """Exchanges may be missing, counted as dropped."""
    back_seconds: float = BACK_SECONDS
    mib: int = MOST_MIB


@dataclass
class Verdict:
    """Figures of a run that held."""

    exchanges: int = 0
    broken: int = 0
    unanswered: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    back_seconds: float = 0.0
    mib: int = 0
    ledger: str = ""

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        cut = (
            f"; {self.broken} broken, {self.unanswered} unanswered" if self.broken or self.unanswered else ""
        )
        return f"{self.exchanges} exchanges ({ends}){cut}; back in {self.back_seconds:.1f} s; {self.mib} MiB"


async def judge(clients: Clients, database_url: str, allowed: Allowed | None = None) -> Verdict:
    """Waits until all is on record and checks I1 to I8; raises AssertionError."""
    allowed = allowed or Allowed()
    verdict = Verdict()
    verdict.back_seconds = await _record_afresh(clients, database_url, allowed.back_seconds)
    rows = await _settled(clients, database_url, allowed)
    verdict.exchanges = len(rows)
    verdict.outcomes = Counter(row["outcome"] for row in rows.values())
    verdict.unanswered = clients.unanswered
    assert allowed.unanswered or not clients.unanswered, f"{clients.unanswered} calls found nobody"
    for got in clients.received:
        verdict.broken += not got.is_whole and not got.left
        _check_received(got, rows.get(got.exchange_id), allowed)
    _check_rows(rows, clients.numbers, may_miss=allowed.missing)
    kept = {name for name, row in rows.items() if not _has_gap(row, may_miss=allowed.missing)}
    await _check_bytes(clients, [each for each in clients.received if each.exchange_id in kept])
    verdict.mib = max(peak_mib(pid) for pid in processes(clients.product))
    assert verdict.mib <= allowed.mib, f"I7: a process has held {verdict.mib} MiB"
    _check_canary(clients.product)
    verdict.ledger = await check_ledger(clients.product, database_url)
    return verdict


async def _record_afresh(clients: Clients, url: str, within_seconds: float) -> float:
    """I6; gives how long it took."""
    start = time.monotonic()
    while True:
        got = await clients.ask(3, 0)
        if got.is_whole and await _is_there(url, got.exchange_id, start + within_seconds):
            return time.monotonic() - start
        late = time.monotonic() - start
        assert late < within_seconds, f"I6: nothing is recorded {late:.1f} s after the fault"
        await asyncio.sleep(0.1)


async def _is_there(url: str, exchange_id: str, deadline: float) -> bool:
    while time.monotonic() < deadline:
        if await fetch(url, "SELECT 1 FROM exchanges WHERE id = $1", uuid.UUID(exchange_id)):
            return True
        await asyncio.sleep(0.05)
    return False


async def _settled(clients: Clients, url: str, allowed: Allowed) -> dict[str, Any]:
    """All rows by id, once every exchange that a client saw is there, or no more come (I2)."""
    wanted = {got.exchange_id for got in clients.received if got.exchange_id}
    deadline = time.monotonic() + DRAIN_SECONDS
    before = -1
    while True:
        rows = await fetch(url, ROWS)
        found = {str(row["id"]): row for row in rows}
        assert len(found) == len(rows), "I2: an exchange is there twice"
        if wanted <= found.keys() or (allowed.missing and len(rows) == before):
            return found
        assert time.monotonic() < deadline, f"I1: {len(wanted - found.keys())} exchanges are not on record"
        before = len(rows)
        await asyncio.sleep(2.0 if allowed.missing else 0.2)


def _check_received(got: Received, row: Any, allowed: Allowed) -> None:
    if got.status != 200:
        return  # an error of the proxy's own: no bytes of the upstream's
    assert got.body == expected(got.number, got.chunks)[: len(got.body)], f"I5: stream {got.number} differs"
    if row is None:
        assert allowed.missing, f"I1: exchange {got.exchange_id} is not on record"
        return
    if got.is_whole:
        assert len(got.body) == len(expected(got.number, got.chunks)), f"I5: stream {got.number} is short"
        assert row["outcome"] == "completed", f"{got.exchange_id} came whole and is {row['outcome']}"
    elif got.left:
        assert row["outcome"] in {"client_left", "completed", *allowed.outcomes}, row["outcome"]
    else:
        assert allowed.outcomes != {"completed"}, f"I5: {got.exchange_id} broke off"
        # Killed between the last frame and the last byte: all is on record, though not all of it went out.
        is_kept_whole = row["response_bytes"] == len(expected(got.number, got.chunks))
        outcomes = allowed.outcomes | ({"completed"} if is_kept_whole else set())
        assert row["outcome"] in outcomes, f"I5: {got.exchange_id} broke off and is {row['outcome']}"
    assert allowed.missing or row["response_bytes"] >= len(got.body), (
        f"I1: {got.exchange_id} is short on record"
    )


def _check_rows(rows: dict[str, Any], numbers: int, *, may_miss: bool) -> None:
    """I3: each row is of a call that was made, and has bytes of its stream."""
    for row in rows.values():
        number, chunks = (int(part) for part in row["path"].split("/")[2:4])
        assert 0 < number <= numbers, f"I3: nobody asked {row['path']}"
        if row["status"] == 200 and row["response_sha256"] and not _has_gap(row, may_miss=may_miss):
            sent = expected(number, chunks)[: row["response_bytes"]]
            assert hashlib.sha256(sent).digest() == row["response_sha256"], f"I3: {row['id']}"


def _has_gap(row: Any, *, may_miss: bool) -> bool:
    """Whether what is kept is no beginning of the stream, and says so; only where some may be missing."""
    return may_miss and row["capture_status"] == "partial"


async def _check_bytes(clients: Clients, received: list[Received]) -> None:
    """I1 by the bytes themselves, of all broken streams and a sample of the whole ones."""
    broken = [each for each in received if each.body and not each.is_whole]
    whole = [each for each in received if each.is_whole]
    for got in random.sample(broken, min(len(broken), SAMPLES)) + random.sample(
        whole, min(len(whole), SAMPLES)
    ):
        if got.status != 200:
            continue
        try:
            kept = await asyncio.to_thread(clients.product.get, f"/api/exchanges/{got.exchange_id}/response")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"I1: {got.exchange_id}: {error.read()!r}") from error
        assert kept.startswith(got.body), f"I1: {len(kept)} bytes kept, {len(got.body)} received"
        assert expected(got.number, got.chunks).startswith(kept), f"I3: {got.exchange_id}"


def _check_canary(product: Product) -> None:
    """I8: the clients' key is in no log and in no file of the journal."""
    journal = product.data_dir / "journal"
    for file in [product.log, *(each for each in journal.rglob("*") if each.is_file())]:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue  # a segment that was let go meanwhile
        assert CANARY.encode() not in content, f"I8: the key is in {file.name}"


async def check_ledger(product: Product, database_url: str) -> str:
    """I4: `verbatim journal verify` finds nothing missing; gives its last line."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("VERBATIM_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "journal", "verify"),
        env={**environ, "VERBATIM_DATA_DIR": str(product.data_dir), "VERBATIM_DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"I4: {output.decode()}"
    return output.decode().strip().rpartition("\n")[2]


async def fetch(url: str, sql: str, *arguments: object) -> list[Any]:
    """Rows, straight from the database."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(sql, *arguments))
    finally:
        await connection.close()
