"""A journal in a folder: exchanges written as a worker writes them, and what PostgreSQL has of them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from app.clock import new_id, wall_ns
from app.exchange import AnswerHead, Begin, End, FrameType
from app.journal.writer import JournalRules, JournalWriter
from app.store.database.pool import Pool
from app.store.reading.query import Query
from app.store.slices.bodies import StoredBody
from tests.recorder.frames import ANSWER, JSON, REQUEST, begin_of, encode


def open_writer(folder: Path, slot: int = 0, segment_bytes: int = 64 << 20) -> JournalWriter:
    """A writer that is ready."""
    writer = JournalWriter(folder, slot, "host", JournalRules(fsync="off", segment_bytes=segment_bytes))
    writer.open()
    return writer


class Exchange:
    """One exchange that is being written."""

    def __init__(self, writer: JournalWriter, exchange_id: bytes | None = None, **changes: Any) -> None:
        self.id = exchange_id or new_id(wall_ns())
        self.request = self.answer = b""
        self._log = writer.exchange(self.id)
        begin = begin_of(writer.next_accept_number(), boot=writer.boot, slot=writer.slot, **changes)
        self.put(FrameType.BEGIN, encode(begin))
        self.begin: Begin = begin

    def put(self, kind: FrameType, payload: bytes) -> None:
        """Writes one frame."""
        self._log.stage(kind, payload)
        self._log.flush()

    def ask(self, piece: bytes) -> None:
        """Writes a piece of the request's body."""
        self.request += piece
        self.put(FrameType.REQUEST_CHUNK, piece)

    def head(self, status: int = 200) -> None:
        """Writes the head of the answer."""
        self.put(FrameType.RESPONSE_HEAD, encode(AnswerHead(status, b"OK", "1.1", JSON)))

    def tell(self, piece: bytes) -> None:
        """Writes a piece of the answer's body."""
        self.answer += piece
        self.put(FrameType.RESPONSE_CHUNK, piece)

    def end(self, outcome: str = "completed") -> None:
        """Writes END."""
        end = End(outcome, None, None, len(self.request), len(self.answer), True)
        self.put(FrameType.END, encode(end))


def write_exchange(
    writer: JournalWriter, request: bytes = REQUEST, answer: bytes = ANSWER, pieces: int = 1, **changes: Any
) -> Exchange:
    """A whole exchange."""
    exchange = Exchange(writer, **changes)
    exchange.ask(request)
    exchange.head()
    size = max(1, -(-len(answer) // pieces))
    for start in range(0, len(answer), size):
        exchange.tell(answer[start : start + size])
    exchange.end()
    return exchange


@dataclass
class Rows:
    """What the database has."""

    url: str
    _connection: asyncpg.Connection | None = field(default=None)

    async def value(self, sql: str, *arguments: object) -> Any:
        """One value."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    async def rows(self, sql: str, *arguments: object) -> list[Any]:
        """All rows."""
        connection = await asyncpg.connect(self.url)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def count(self) -> int:
        """Exchanges that are recorded."""
        return int(await self.value("SELECT count(*) FROM exchanges"))

    async def check_recorded(self, exchanges: list[Exchange]) -> None:
        """These exchanges are there with their bytes, and nothing else is."""
        found = {row["id"].bytes for row in await self.rows("SELECT id FROM exchanges")}
        assert found == {each.id for each in exchanges}
        for each in exchanges:
            assert (await self.request(each), await self.answer(each)) == (each.request, each.answer)

    async def check(self, exchanges: list[Exchange]) -> None:
        """Every exchange is there once with its bytes, and nothing else is."""
        rows = await self.rows("SELECT id, request_sha256, response_sha256 FROM exchanges")
        found = {row["id"].bytes: (row["request_sha256"], row["response_sha256"]) for row in rows}
        assert len(rows) == len(found)
        wanted = {
            each.id: (hashlib.sha256(each.request).digest(), hashlib.sha256(each.answer).digest())
            for each in exchanges
        }
        assert found.keys() == wanted.keys(), (len(found), len(wanted))
        assert found == wanted
        assert int(await self.value("SELECT coalesce(sum(exchanges), 0) FROM usage_hourly")) == len(wanted)

    async def check_accounts(self, accepted: int) -> None:
        """The accounts add up: each accept number was recorded, off, dropped, quarantined, erased or expired once."""
        row = (
            await self.rows(
                'SELECT coalesce(sum(recorded + "off" + quarantined + expired + erased + dropped), 0) AS ended,'
                ' coalesce(sum(recorded + "off" + quarantined + expired + erased + dropped + carried)'
                " FILTER (WHERE slot <> 32767), 0) AS begun,"
                " coalesce(max(last_accept_number) + 1, 0) AS numbers, count(*) AS segments FROM segments"
            )
        )[0]
        assert (row["ended"], row["begun"], row["numbers"]) == (accepted, accepted, accepted), dict(row)

    async def answer(self, exchange: Exchange) -> bytes:
        """The answer's bytes as they are kept."""
        return await self._body(exchange, Query.response_body)

    async def request(self, exchange: Exchange) -> bytes:
        """The request's bytes as they are kept."""
        return await self._body(exchange, Query.request_body)

    async def _body(self, exchange: Exchange, read: Callable[..., Awaitable[StoredBody | None]]) -> bytes:
        pool = Pool(self.url)
        try:
            body = await read(Query(pool), uuid.UUID(bytes=exchange.id))
            return b"".join([chunk async for chunk in body.chunks]) if body is not None else b""
        finally:
            await pool.close()
