"""Reads the record: lists, single exchanges, exact bytes."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from app.exchange import KeptHeaders
from app.store.conversations.listing import ConversationPages
from app.store.database.pool import Pool
from app.store.database.storage import StorageReader
from app.store.erasing.requests import Erasures
from app.store.filters.errors import FilterError
from app.store.filters.filter import Filter, Order
from app.store.pages.matching import FEW
from app.store.pages.walking import COUNT_SECONDS, COUNTED_MOST, count_rows, find_rows
from app.store.pages.wanted import COLUMNS, NOWHERE, Rows, Sort, Wanted
from app.store.reading.contents import ContentReader
from app.store.reading.ledgers import LedgerReader
from app.store.reading.stored import (
    Account,
    ConversationPage,
    Moment,
    Page,
    RecorderStatus,
    StoredConversation,
    StoredExchange,
    StoredHeaders,
)
from app.store.search.listing import SearchedLists
from app.store.search.terms import parse_terms
from app.store.slices.bodies import BodyReader, Manifest, StoredBody
from app.store.slices.pieces import decode_chunk_times
from app.store.statements import statements
from app.store.sums.stats import StatsReader
from app.store.tokens import ReadTokens
from app.store.visible import visible_projects
from app.store.writing.metadata import MetadataWriter
from app.store.writing.record import ChunkTime

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

PAGE_MAX = 1_000

_FROM_ROW = tuple(
    field.name
    for field in dataclasses.fields(StoredExchange)
    if field.name not in ("project", "user", "tags", "request_preview", "response_preview")
)


class Query:
    """Reads one database; its errors are app.errors' StoreErrors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("query")
        self._bodies = BodyReader(pool)
        self._searched = SearchedLists()
        self._conversations = ConversationPages(self._searched)
        self.contents = ContentReader(pool)
        """Reads what is kept of whole pages."""
        self.stats = StatsReader(pool, self._searched)
        """Reads sums."""
        self.erasures = Erasures(pool)
        """Asks for erasures."""
        self.metadata = MetadataWriter(pool)
        """Sets metadata."""
        self.storage = StorageReader(pool)
        """Reads sizes."""
        self.ledgers = LedgerReader(pool)
        """Reads what became of accepted exchanges."""
        self.tokens = ReadTokens(pool)
        """Who may read what."""

    async def list_exchanges(
        self,
        wanted: Filter,
        limit: int = 20,
        after: uuid.UUID | None = None,
        order: Order = "desc",
        sort: Sort = "started_at",
    ) -> Page:
        """The page of at most `limit` (1 to PAGE_MAX) exchanges that follow `after`, with previews.

        Raises TermsError where the filter's `q` cannot be read, FilterError where there is nothing to go on behind, or
        too much says what is to be sorted.
        Sorted by anything but time, exchanges of which the value is unknown are left out.
        """
        limit = min(max(limit, 1), PAGE_MAX)
        async with self._pool.transaction(readonly=True) as connection:
            projects = await self._projects(connection)
            page = self._page(wanted, projects, limit, after if sort == "started_at" else None, order)
            if page is None:
                return Page([], has_more=False)
            if sort != "started_at":
                page = dataclasses.replace(page, sort=sort, after=await self._place(connection, after, sort))
            is_searched = wanted.q is not None
            found = await (self._hits if is_searched else find_rows)(connection, page)
            previews = await self._previews(connection, found.rows)
            snippets = None
            if is_searched:
                keys = [(row["project_id"], row["id"]) for row in found.rows]
                snippets = await self._searched.snippets(connection, parse_terms(wanted.q or ""), keys)
        exchanges = [_exchange(row, projects, previews) for row in found.rows]
        return Page(exchanges, found.has_more, snippets, found.resume_after)

    async def count_exchanges(self, wanted: Filter) -> int | None:
        """How many exchanges are wanted, at most COUNTED_MOST + 1; None where that takes too long."""
        async with self._pool.transaction(readonly=True) as connection:
            page = self._page(wanted, await self._projects(connection), COUNTED_MOST, None, "desc")
            if page is None:
                return 0
            if wanted.q is None:
                return await count_rows(connection, page)
            found = await self._searched.find(connection, page, COUNT_SECONDS)
            return None if found.resume_after is not None else len(found.ids) + found.has_more

    async def _place(
        self, connection: Connection, after: uuid.UUID | None, sort: Sort
    ) -> tuple[Any, uuid.UUID | None]:
        if after is None:
            return NOWHERE
        projects = list(await self._projects(connection))
        row = await connection.fetchrow(statements("lists")["place"], after, projects)
        if row is None or row[sort] is None:
            raise FilterError("after", "there is no such exchange any more: begin again", "")
        return row[sort], after

    def _page(
        self,
        wanted: Filter,
        projects: dict[int, str],
        limit: int,
        after: uuid.UUID | None,
        order: Order,
    ) -> Wanted | None:
        """What a page asks for; None where nothing can be found."""
        low, high = wanted.bounds(after, order)
        project_ids = [each for each, name in projects.items() if wanted.project in (None, name)]
        if low >= high or not project_ids or not wanted.can_match():
            return None
        return Wanted(wanted, project_ids, low, high, limit, order)

    async def list_conversations(
        self, wanted: Filter, limit: int = 20, after: uuid.UUID | None = None, order: Order = "desc"
    ) -> ConversationPage:
        """The page of at most `limit` (1 to PAGE_MAX) conversations that follow `after`, by when they began.

        An exchange of each passes the filter. Raises TermsError.
        """
        limit = min(max(limit, 1), PAGE_MAX)
        async with self._pool.transaction(readonly=True) as connection:
            projects = await self._projects(connection)
            page = self._page(wanted, projects, limit, None, order)
            if page is None:
                return ConversationPage([], has_more=False)
            return await self._conversations.page(connection, page, after, projects)

    async def get_conversation(
        self, conversation_id: uuid.UUID, most: int
    ) -> tuple[StoredConversation, list[StoredExchange]] | None:
        """One conversation, or the one that it was joined to, with its first exchanges; None where there is none."""
        async with self._pool.transaction(readonly=True) as connection:
            projects = await self._projects(connection)
            found = await self._conversations.one(connection, conversation_id, projects)
            if found is None:
                return None
            rows = await self._conversations.turns(connection, found, most)
            previews = await self._previews(connection, rows)
        return found, [_exchange(row, projects, previews) for row in rows]

    async def list_among(self, wanted: Filter, ids: list[uuid.UUID]) -> list[StoredExchange]:
        """Those of some exchanges that are wanted, with previews, in no order."""
        async with self._pool.transaction(readonly=True) as connection:
            projects = await self._projects(connection)
            page = self._page(wanted, projects, PAGE_MAX, None, "desc")
            keys = [] if page is None else await self._searched.passing(connection, page, ids)
            rows = await self._rows(connection, [each for _, each in keys])
            previews = await self._previews(connection, rows)
        return [_exchange(row, projects, previews) for row in rows]

    async def recorded(
        self, after: datetime.datetime, after_id: uuid.UUID, before: datetime.datetime, limit: int
    ) -> list[tuple[uuid.UUID, datetime.datetime]]:
        """Ids and times of what was recorded after one exchange and before a time, in the order of recording."""
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["recorded"], after, after_id, before, limit)
        return [(row["id"], row["recorded_at"]) for row in rows]

    async def moment(self) -> tuple[Moment, int]:
        """This moment, and the oldest transaction that is still under way (or the next one, where none is)."""
        async with self._pool.transaction(readonly=True) as connection:
            row = await connection.fetchrow(self._sql["moment"])
        assert row is not None
        return Moment(row["now"], row["next"]), row["oldest"]

    async def get_exchange(self, exchange_id: uuid.UUID) -> StoredExchange | None:
        """One exchange with its previews; None where there is none."""
        async with self._pool.transaction(readonly=True) as connection:
            row = await connection.fetchrow(self._sql["exchange"], exchange_id)
            projects = await self._projects(connection)
            if row is None or row["project_id"] not in projects:
                return None
            previews = await self._previews(connection, [row])
            return _exchange(row, projects, previews)

    async def request_body(self, exchange_id: uuid.UUID) -> StoredBody | None:
        """The exact bytes that the client sent; None where there is no such exchange or its body is not kept."""
        return await self._body(exchange_id, "request")

    async def response_body(self, exchange_id: uuid.UUID) -> StoredBody | None:
        """The exact bytes that the client was sent; None as for request_body."""
        return await self._body(exchange_id, "response")

    async def headers(self, exchange_id: uuid.UUID) -> StoredHeaders | None:
        """Header lists as they were; None where they are not kept."""
        _, transcript = await self._transcript(exchange_id)
        if transcript is None:
            return None
        request = await self._header_list(transcript, "request_headers")
        response = await self._header_list(transcript, "response_headers")
        trailers = await self._header_list(transcript, "trailers")
        return StoredHeaders(request or [], response, trailers or [])

    async def chunk_times(self, exchange_id: uuid.UUID) -> list[ChunkTime] | None:
        """When each piece of the answer arrived; None where that is not kept."""
        _, transcript = await self._transcript(exchange_id)
        return None if transcript is None else decode_chunk_times(transcript["chunk_times"])

    async def recorder_status(self) -> list[RecorderStatus]:
        """All recorders that were ever seen, the latest first."""
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["recorders"])
        return [RecorderStatus(**dict(row)) for row in rows]

    async def account(self, boot: str, slot: int) -> Account:
        """The sums over the segments that were let go for one slot of one boot."""
        async with self._pool.transaction(readonly=True) as connection:
            row = await connection.fetchrow(self._sql["account"], boot, slot)
        return Account(**dict(row or {}))

    async def _body(self, exchange_id: uuid.UUID, side: Literal["request", "response"]) -> StoredBody | None:
        row, transcript = await self._transcript(exchange_id)
        if row is None or transcript is None:
            return None
        manifest = Manifest(
            project_id=transcript["project_id"],
            week=transcript["week"],
            head=transcript[f"{side}_head"],
            tip=transcript[f"{side}_tip"],
            tail=transcript[f"{side}_tail"],
        )
        sha256: bytes | None = row[f"{side}_sha256"]
        if sha256 is None or (manifest.is_empty and row[f"{side}_bytes"] != 0):
            return None
        pieces = await self._bodies.pieces(manifest)
        return StoredBody(
            content_type=row[f"{side}_content_type"],
            content_encoding=row[f"{side}_content_encoding"],
            length_bytes=sum(each.raw_bytes for each in pieces),
            sha256=sha256,
            chunks=self._bodies.read(manifest, pieces),
        )

    async def _header_list(self, transcript: asyncpg.Record, column: str) -> KeptHeaders | None:
        if transcript[column] is None:
            return None
        manifest = Manifest(transcript["project_id"], transcript["week"], tip=transcript[column])
        chunks = self._bodies.read(manifest, await self._bodies.pieces(manifest))
        return msgspec.msgpack.decode(b"".join([each async for each in chunks]), type=KeptHeaders)

    async def _transcript(
        self, exchange_id: uuid.UUID
    ) -> tuple[asyncpg.Record | None, asyncpg.Record | None]:
        async with self._pool.transaction(readonly=True) as connection:
            row = await connection.fetchrow(self._sql["exchange"], exchange_id)
            if row is None or row["project_id"] not in await self._projects(connection):
                return None, None
            return row, await connection.fetchrow(self._sql["transcript"], row["project_id"], exchange_id)

    async def _hits(self, connection: Connection, page: Wanted) -> Rows:
        """The rows of a page of what says the words. Raises FilterError where too many are to be sorted."""
        is_down = page.order == "desc"
        if page.sort == "started_at":
            found = await self._searched.find(connection, page)
            rows = await self._rows(connection, found.ids)
            rows.sort(key=lambda row: row["id"].bytes, reverse=is_down)
            return Rows(rows, found.has_more, found.resume_after)
        found = await self._searched.find(connection, dataclasses.replace(page, limit=FEW))
        if found.has_more:
            raise FilterError(
                "sort", f"more than {FEW:,} exchanges say this: ask for less, or by started_at", ""
            )
        column = COLUMNS[page.sort]
        rows = [row for row in await self._rows(connection, found.ids) if row[column] is not None]
        placed = sorted((((row[column], row["id"]), row) for row in rows), key=itemgetter(0), reverse=is_down)
        if (after := page.after) != NOWHERE:
            placed = [each for each in placed if (each[0] < after if is_down else each[0] > after)]
        rows = [row for _, row in placed]
        return Rows(rows[: page.limit], has_more=len(rows) > page.limit)

    async def _rows(self, connection: Connection, ids: list[uuid.UUID]) -> list[asyncpg.Record]:
        """Exchanges by their ids, in no order."""
        if not ids:
            return []
        return await connection.fetch(statements("lists")["exchanges"], ids, min(ids), max(ids))

    async def _projects(self, connection: Connection) -> dict[int, str]:
        return await visible_projects(connection)

    async def _previews(
        self, connection: Connection, rows: list[asyncpg.Record]
    ) -> dict[uuid.UUID, tuple[str | None, str | None]]:
        if not rows:
            return {}
        ids = [row["id"] for row in rows]
        projects = sorted({row["project_id"] for row in rows})
        found = await connection.fetch(self._sql["previews"], projects, ids, min(ids), max(ids))
        return {row["id"]: (row["request_preview"], row["response_preview"]) for row in found}


def _exchange(
    row: asyncpg.Record, projects: dict[int, str], previews: dict[uuid.UUID, tuple[str | None, str | None]]
) -> StoredExchange:
    values: dict[str, Any] = {name: row[name] for name in _FROM_ROW}
    request_preview, response_preview = previews.get(row["id"], (None, None))
    return StoredExchange(
        **values,
        project=projects.get(row["project_id"], ""),
        user=row["end_user"],
        tags=msgspec.json.decode(row["tags"], type=dict[str, str]),
        request_preview=request_preview,
        response_preview=response_preview,
    )
