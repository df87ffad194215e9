"""An export while it runs: keyset pages in short transactions, messages read off the event loop, bytes compressed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.api import wire
from app.api.compression import Compressor
from app.api.messages import MessageReader, extensions_of
from app.errors import StoreUnavailableError
from app.export.formats import FileFormat, Options
from app.export.values import Exported, Writer
from app.store.filters.filter import Filter, Order
from app.store.reading.contents import KeptContent
from app.store.reading.query import Query
from app.store.reading.stored import Page, StoredExchange

PAGE = 100
BATCH_BYTES = 1 << 20
"""Bytes of bodies that are read for messages in one go."""
BATCH_EXCHANGES = 50
PIECE_BYTES = 1 << 20
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses while PostgreSQL is away in the middle of an export."""

Read = tuple[StoredExchange, KeptContent | None]


class FieldsReader(Protocol):
    """Reads what a request sets; whoever puts the console together brings it."""

    def __call__(self, stored: StoredExchange, request: bytes | None) -> dict[str, object]:
        """The fields of the request's JSON but what was said."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported: which exchanges, from where on, and as what."""

    filter: Filter
    order: Order
    after: uuid.UUID | None
    limit: int | None
    format: FileFormat
    options: Options


class Exporter:
    """Exports of one store."""

    def __init__(self, store: Query, read_messages: MessageReader, read_fields: FieldsReader) -> None:
        self._store = store
        self._read_messages = read_messages
        self._read_fields = read_fields

    async def run(self, wanted: Wanted, compressor: Compressor) -> AsyncGenerator[bytes]:
        """The bytes of the file, some of them empty; the first come after the first page, so that what is wrong from
        the beginning is an answer."""
        writer = wanted.format.make(wanted.options)
        try:
            async for piece in self._pieces(wanted, writer, compressor):
                yield piece
        finally:
            writer.close()

    async def _pieces(self, wanted: Wanted, writer: Writer, compressor: Compressor) -> AsyncGenerator[bytes]:
        last = await self._end_of(wanted)
        pending = compressor.compress(writer.begin())
        after, left = wanted.after, wanted.limit
        while last is not None and (left is None or left > 0):
            page = await self._page(wanted, after, left)
            exchanges = [each for each in page.exchanges if not _is_beyond(each.id, last, wanted.order)]
            async for exported in self._batches(exchanges, wanted):
                made = self._written(exported, wanted, writer, compressor)
                while (piece := await asyncio.to_thread(next, made, None)) is not None:
                    yield pending + piece
                    pending = b""
            if not page.has_more or len(exchanges) < len(page.exchanges):
                break
            after = page.resume_after or exchanges[-1].id
            if _is_beyond(after, last, wanted.order):
                break
            left = None if left is None else left - len(exchanges)
        yield pending + compressor.compress(await asyncio.to_thread(writer.end)) + compressor.flush()

    async def _end_of(self, wanted: Wanted) -> uuid.UUID | None:
        """The last exchange there is now, where order is ascending: an export ends though recording goes on."""
        if wanted.order == "desc":
            return uuid.UUID(int=0)
        newest = await self._store.list_exchanges(Filter(), 1, None, "desc")
        return newest.exchanges[0].id if newest.exchanges else None

    async def _page(self, wanted: Wanted, after: uuid.UUID | None, left: int | None) -> Page:
        size = PAGE if left is None else min(PAGE, left)
        # The first page is not tried again: the client still gets an answer that says what is wrong.
        for pause_seconds in RETRY_SECONDS if after != wanted.after else ():
            try:
                return await self._store.list_exchanges(wanted.filter, size, after, wanted.order)
            except StoreUnavailableError:
                await asyncio.sleep(pause_seconds)
        return await self._store.list_exchanges(wanted.filter, size, after, wanted.order)

    async def _batches(
        self, exchanges: Sequence[StoredExchange], wanted: Wanted
    ) -> AsyncIterator[list[Read]]:
        """Neighbours with what is kept of them; nothing is read where the format does without."""
        if not wanted.format.needs_messages(wanted.options):
            yield [(each, None) for each in exchanges]
            return
        batch: list[Read] = []
        size = 0
        async for stored, content in self._contents(exchanges):
            batch.append((stored, content))
            size += 0 if content is None else len(content.request or b"") + len(content.response or b"")
            if size >= BATCH_BYTES or len(batch) >= BATCH_EXCHANGES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    async def _contents(self, exchanges: Sequence[StoredExchange]) -> AsyncIterator[Read]:
        """All of them, though PostgreSQL may go away for a while."""
        read = 0
        for pause_seconds in (*RETRY_SECONDS, None):
            try:
                async for each in self._store.contents.read(exchanges[read:]):
                    yield each
                    read += 1
                return
            except StoreUnavailableError:
                if pause_seconds is None:
                    raise
            await asyncio.sleep(pause_seconds)

    def _written(
        self, batch: list[Read], wanted: Wanted, writer: Writer, compressor: Compressor
    ) -> Iterator[bytes]:
        """What a batch makes, in one piece unless it is long."""
        pieces, size = [], 0
        for stored, content in batch:
            pieces.append(compressor.compress(writer.add(self._exported(stored, content, wanted))))
            size += len(pieces[-1])
            if size >= PIECE_BYTES:
                yield b"".join(pieces)
                pieces, size = [], 0
        yield b"".join(pieces)

    def _exported(self, stored: StoredExchange, content: KeptContent | None, wanted: Wanted) -> Exported:
        record = wire.detail(stored, None if content is None else content.headers, None)
        del record["messages"]
        if content is None or not wanted.format.needs_messages(wanted.options):
            return Exported(record)
        messages: list[dict[str, Any]] | None = None
        if content.has_bodies:
            extensions = extensions_of(stored, content.headers)
            messages = self._read_messages(stored, content.request, content.response, extensions)
        fields: dict[str, Any] = {}
        if wanted.format.needs_request_fields:
            fields = self._read_fields(stored, content.request)
        return Exported(record, messages, fields)


def _is_beyond(exchange_id: uuid.UUID, last: uuid.UUID, order: Order) -> bool:
    return order == "asc" and exchange_id > last
