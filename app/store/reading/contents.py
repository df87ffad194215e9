"""What is kept of many exchanges at once, for exports: shared slices are fetched once a page, in short transactions."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from app.errors import StoreError, StoreMisconfiguredError, StoreUnavailableError
from app.exchange import KeptHeaders
from app.store.database.pool import Pool
from app.store.reading.stored import StoredExchange, StoredHeaders
from app.store.slices.bodies import PieceName, in_order
from app.store.slices.pieces import Coder
from app.store.statements import statements
from app.store.visible import visible_projects

if TYPE_CHECKING:
    import asyncpg

WINDOW_BYTES = 8 << 20
"""Raw bytes of slices that are held at once; the slices of one exchange may go over it."""
MAX_BODY_BYTES = 16 << 20
"""Longer bodies are not read."""

_REQUEST = ("request_head", "request_tip", "request_tail")
_RESPONSE = ("response_head", "response_tip", "response_tail")
_HEADERS = ("request_headers", "response_headers", "trailers")

Place = tuple[int, datetime.date]


@dataclass(frozen=True, slots=True)
class KeptContent:
    """What is kept of one exchange."""

    headers: StoredHeaders
    request: bytes | None
    """None where it is longer than MAX_BODY_BYTES."""
    response: bytes | None
    has_bodies: bool
    """False where both bodies are not kept; they are empty here."""


@dataclass(frozen=True, slots=True)
class _Node:
    parent: bytes | None
    raw_bytes: int


Nodes = dict[tuple[Place, bytes], _Node]
Slices = dict[tuple[Place, bytes], bytes]


class ContentReader:
    """Reads one database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("contents")

    async def read(
        self, exchanges: Sequence[StoredExchange]
    ) -> AsyncIterator[tuple[StoredExchange, KeptContent | None]]:
        """The exchanges in their order with what is kept of them; None where nothing is, or it is damaged."""
        rows = await self._transcripts([each.id for each in exchanges])
        nodes = await self._nodes(rows.values())
        coder = Coder()
        for window in _windows(exchanges, rows, nodes):
            wanted = {named for each in window for named in _needed(each, rows.get(each.id), nodes)}
            slices = await self._slices(wanted, coder)
            for exchange in window:
                yield exchange, _content(exchange, rows.get(exchange.id), nodes, slices)

    async def _transcripts(self, ids: list[uuid.UUID]) -> dict[uuid.UUID, asyncpg.Record]:
        if not ids:
            return {}
        async with self._pool.transaction(readonly=True) as connection:
            projects = list(await visible_projects(connection))
            found = await connection.fetch(self._sql["transcripts"], projects, ids, min(ids), max(ids))
        return {row["id"]: row for row in found}

    async def _nodes(self, rows: Iterable[asyncpg.Record]) -> Nodes:
        """Every slice on the way to the end of a body or a header list."""
        ends: dict[Place, set[bytes]] = {}
        for row in rows:
            named = {row[column] for column in (*_HEADERS, *_REQUEST, *_RESPONSE)}
            ends.setdefault(_place(row), set()).update(named - {None})
        found: Nodes = {}
        for place, wanted in ends.items():
            async with self._pool.transaction(readonly=True) as connection:
                for row in await connection.fetch(self._sql["chains"], *place, sorted(wanted)):
                    found[place, row["node"]] = _Node(row["parent"], row["raw_bytes"])
        return found

    async def _slices(self, wanted: set[tuple[Place, bytes]], coder: Coder) -> Slices:
        """The bytes of slices; one that is gone or damaged is not among them."""
        by_place: dict[Place, list[bytes]] = {}
        for place, node in sorted(wanted):
            by_place.setdefault(place, []).append(node)
        found: Slices = {}
        for place, names in by_place.items():
            async with self._pool.transaction(readonly=True) as connection:
                for row in await connection.fetch(self._sql["slices"], *place, names):
                    try:
                        found[place, row["node"]] = coder.decode(
                            row["node"], row["parent"], row["raw_bytes"], row["coding"], row["data"]
                        )
                    except (StoreUnavailableError, StoreMisconfiguredError):
                        raise
                    except StoreError:
                        continue
        return found


def _place(row: asyncpg.Record) -> Place:
    return row["project_id"], row["week"]


def _chain(place: Place, end: bytes | None, nodes: Nodes) -> list[PieceName]:
    """The slices that lead to an end, and its own; raises StoreError where one is gone."""
    names: list[PieceName] = []
    while end is not None:
        node = nodes.get((place, end))
        if node is None:
            raise StoreError(f"piece {end.hex()} is gone")
        names.append(PieceName(end, node.raw_bytes))
        end = node.parent
    return names[::-1]


def _needed(
    exchange: StoredExchange, row: asyncpg.Record | None, nodes: Nodes
) -> Iterator[tuple[Place, bytes]]:
    """The slices of what is read of an exchange; those that are there."""
    if row is None:
        return
    place = _place(row)
    columns = list(_HEADERS)
    columns += _REQUEST if exchange.request_bytes <= MAX_BODY_BYTES else ()
    columns += _RESPONSE if exchange.response_bytes <= MAX_BODY_BYTES else ()
    for column in columns:
        end: bytes | None = row[column]
        while end is not None and (node := nodes.get((place, end))) is not None:
            yield place, end
            end = node.parent


def _windows(
    exchanges: Sequence[StoredExchange], rows: dict[uuid.UUID, asyncpg.Record], nodes: Nodes
) -> Iterator[list[StoredExchange]]:
    """Neighbours whose slices together are at most WINDOW_BYTES, what they share counted once."""
    window: list[StoredExchange] = []
    held: set[tuple[Place, bytes]] = set()
    size = 0
    for exchange in exchanges:
        own = set(_needed(exchange, rows.get(exchange.id), nodes))
        added = sum(nodes[each].raw_bytes for each in own - held)
        if window and size + added > WINDOW_BYTES:
            yield window
            window, held, size = [], set(), 0
            added = sum(nodes[each].raw_bytes for each in own)
        window.append(exchange)
        held |= own
        size += added
    if window:
        yield window


def _content(
    exchange: StoredExchange, row: asyncpg.Record | None, nodes: Nodes, slices: Slices
) -> KeptContent | None:
    if row is None:
        return None
    place = _place(row)
    try:
        request_headers, response_headers, trailers = [
            _header_list(place, row[name], nodes, slices) for name in _HEADERS
        ]
        headers = StoredHeaders(request_headers or [], response_headers, trailers or [])
        return KeptContent(
            headers,
            _body(place, [row[name] for name in _REQUEST], nodes, slices, exchange.request_bytes),
            _body(place, [row[name] for name in _RESPONSE], nodes, slices, exchange.response_bytes),
            has_bodies=_is_kept(exchange.request_sha256, exchange.request_bytes, row, _REQUEST)
            or _is_kept(exchange.response_sha256, exchange.response_bytes, row, _RESPONSE),
        )
    except (StoreUnavailableError, StoreMisconfiguredError):
        raise
    except StoreError:
        return None


def _is_kept(sha256: bytes | None, size: int, row: asyncpg.Record, columns: tuple[str, ...]) -> bool:
    return sha256 is not None and (size == 0 or any(row[name] is not None for name in columns))


def _body(
    place: Place, ends: list[bytes | None], nodes: Nodes, slices: Slices, length_bytes: int
) -> bytes | None:
    if length_bytes > MAX_BODY_BYTES:
        return None
    head, tip, tail = [_chain(place, end, nodes) for end in ends]
    names = in_order(head, tip, tail[0], _joined(place, tail, slices)) if tail else head + tip
    return _joined(place, names, slices)


def _header_list(place: Place, end: bytes | None, nodes: Nodes, slices: Slices) -> KeptHeaders | None:
    if end is None:
        return None
    return msgspec.msgpack.decode(_joined(place, _chain(place, end, nodes), slices), type=KeptHeaders)


def _joined(place: Place, names: Sequence[PieceName], slices: Slices) -> bytes:
    parts = []
    for name in names:
        piece = slices.get((place, name.node))
        if piece is None:
            raise StoreError(f"piece {name.node.hex()} is gone or damaged")
        parts.append(piece[name.offset : name.offset + name.raw_bytes])
    return b"".join(parts)
