"""The slices of one batch: named, proved, and written once a project and week.

Before anything is written, each body is put together again from its slices and compared with the SHA-256 of the wire;
one that would not come back is kept whole, and counted. What is compressed is undone again for the same reason.

Of a chain only the end is new. Which of its nodes are there is asked in the transaction that writes the rest: an
erasure waits for it, and takes leaves first, so a node that is there has all before it. What was written lately is
remembered only to ask for one node instead of all; what is remembered is never believed.

Two batches that insert the same nodes in opposite order deadlock. Here every batch follows one order over all nodes
there can be: first those of bodies held in memory, by key, then long bodies by their lists of nodes, which is the
pre-order of a forest. No node can be in both: the first slice of a long body is SLICE_BYTES long, the others are
shorter. Memory is bounded by the window for long bodies: they are read twice, to name their slices and to write them.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from app.errors import PoisonError, StoreError
from app.exchange import KeptHeaders, Slice, SliceKind
from app.frozen import value
from app.store.slices.layout import CutBody, Span, lay_out, runs_of
from app.store.slices.pieces import Coder, chain, node_of
from app.store.statements import statements
from app.store.writing.record import SLICE_BYTES, BodySource
from app.store.writing.rows import columns

if TYPE_CHECKING:
    from app.store.database.pool import Connection

WINDOW_BYTES = 4 << 20
"""Bytes that are compressed and sent to PostgreSQL at once; one slice may go over it."""
WINDOW_ROWS = 2_000
THREAD_FROM_BYTES = 64 << 10
"""A window with so long a slice is compressed in a thread. With short ones Python takes longer than zstd, and a thread
would wait for its turns with the interpreter's lock."""
ASKED_FROM_NODES = 4
"""A shorter chain of which nothing is remembered is inserted without asking."""
REMEMBERED_NODES = 65_536
REMEMBERED_OF_A_CHAIN = 3
_NONE: frozenset[bytes] = frozenset()

Place = tuple[int, datetime.date]
"""The number of a project and the week: what pieces are shared within."""
Named = tuple[Place, bytes]
"""A node and where it is."""


@value
class BodyNodes:
    """Where a body's chains end; a body that is kept whole has a tip alone, an empty one nothing."""

    head: bytes | None = None
    tip: bytes | None = None
    tail: bytes | None = None


class KnownNodes:
    """The ends of chains that were written lately. All of the older half are forgotten at once: to take the first
    out of a dict for each that comes in, Python walks over the places of all that went before."""

    def __init__(self, most: int = REMEMBERED_NODES) -> None:
        self._most_young = most // 2
        self._young: dict[Place, set[bytes]] = {}
        self._young_nodes = 0
        self._old: dict[Place, set[bytes]] = {}

    def __len__(self) -> int:
        return sum(len(nodes) for half in (self._young, self._old) for nodes in half.values())

    def deepest(self, place: Place, nodes: Sequence[bytes]) -> bytes | None:
        """The last of these nodes that is remembered."""
        young, old = self._young.get(place, _NONE), self._old.get(place, _NONE)
        return next((node for node in reversed(nodes) if node in young or node in old), None)

    def add(self, place: Place, nodes: Sequence[bytes]) -> None:
        """Remembers the end of a chain; the last slice may grow, so some before it too."""
        young = self._young.setdefault(place, set())
        before = len(young)
        young.update(nodes[-REMEMBERED_OF_A_CHAIN:])
        self._young_nodes += len(young) - before
        if self._young_nodes >= self._most_young:
            self._old, self._young, self._young_nodes = self._young, {}, 0


@value
class _Chain:
    """A chain of slices that are in memory."""

    place: Place
    nodes: tuple[bytes, ...]
    data: bytes
    spans: Sequence[Span]

    def named(self) -> Iterator[Named]:
        """All its nodes."""
        return ((self.place, node) for node in self.nodes)


@value
class _Piece:
    """A slice that is to be written."""

    place: Place
    node: bytes
    parent: bytes | None
    data: bytes


class PieceBatch:
    """The slices of one batch: `add` names them, `write` sends those that are not there."""

    def __init__(self, known: KnownNodes | None = None, coder: Coder | None = None) -> None:
        self._known = known if known is not None else KnownNodes()
        self._chains: dict[Named, _Chain] = {}
        """By their last node."""
        self._long: dict[tuple[Place, tuple[bytes, ...]], BodySource] = {}
        self._coder = coder if coder is not None else Coder()
        self.stored_whole = 0
        """Bodies whose slices would not have given them back."""

    def add(self, place: Place, body: BodySource | None, cut: Sequence[Slice] | None = None) -> BodyNodes:
        """Takes a body, cut so, and tells where its chains end. Raises PoisonError where it is not what it was."""
        if body is None or not body.length_bytes:
            return BodyNodes()
        if cut is None and body.length_bytes >= SLICE_BYTES:
            return self._add_long(place, body)
        data = b"".join(body.slices())
        if cut is not None:
            parts = lay_out(data, cut)
            if _comes_back(data, parts, body.sha256):
                return self._add_cut(place, data, parts)
            self.stored_whole += 1
        if len(data) >= SLICE_BYTES:
            return self._add_long(place, body)
        if hashlib.sha256(data).digest() != body.sha256:
            raise PoisonError("a body changed between two readings")
        return BodyNodes(tip=self._add_one(place, data))

    def add_headers(self, place: Place, headers: KeptHeaders | None) -> bytes | None:
        """Takes a header list and gives its node."""
        if headers is None:
            return None
        return self._add_one(place, msgspec.msgpack.encode(headers))

    async def write(self, connection: Connection) -> None:
        """Inserts all slices that are not there yet; in the transaction that locked their weeks."""
        sql = statements("ingest")["insert_pieces"]
        there = await self._already_there(connection)
        for window in _windows(self._pieces(there)):
            if max(len(each.data) for each in window) >= THREAD_FROM_BYTES:
                rows = await asyncio.to_thread(self._rows, window)
            else:
                rows = self._rows(window)
            await connection.execute(sql, *columns(rows))
        for each in self._chains.values():
            self._known.add(each.place, each.nodes)

    def _add_cut(self, place: Place, data: bytes, parts: CutBody) -> BodyNodes:
        return BodyNodes(
            head=self._add_chain(place, data, parts.head),
            tip=self._add_chain(place, data, parts.tip),
            tail=self._add_one(place, parts.layout),
        )

    def _add_one(self, place: Place, data: bytes) -> bytes:
        """A chain of one slice."""
        node = node_of(None, data)
        if (place, node) not in self._chains:
            self._chains[place, node] = _Chain(place, (node,), data, [(0, len(data))])
        return node

    def _add_chain(self, place: Place, data: bytes, spans: Sequence[Span]) -> bytes | None:
        nodes = tuple(chain(data[start:end] for start, end in spans))
        if not nodes:
            return None
        self._chains.setdefault((place, nodes[-1]), _Chain(place, nodes, data, spans))
        return nodes[-1]

    def _add_long(self, place: Place, body: BodySource) -> BodyNodes:
        digest = hashlib.sha256()

        def slices() -> Iterator[bytes]:
            for piece in body.slices():
                digest.update(piece)
                yield piece

        nodes = tuple(chain(slices()))
        if digest.digest() != body.sha256:
            raise PoisonError("a body changed between two readings")
        self._long[place, nodes] = body
        return BodyNodes(tip=nodes[-1])

    async def _already_there(self, connection: Connection) -> set[Named]:
        """Of each chain that may be there in part, the nodes that are: what is remembered, else all."""
        asked: dict[Place, set[bytes]] = {}
        forgotten = []
        for each in self._chains.values():
            deepest = self._known.deepest(each.place, each.nodes)
            if deepest is not None:
                asked.setdefault(each.place, set()).add(deepest)
            elif len(each.nodes) >= ASKED_FROM_NODES:
                forgotten.append(each)
        for each in forgotten:
            asked.setdefault(each.place, set()).update(each.nodes)
        there: set[Named] = set()
        for (project_id, week), nodes in sorted(asked.items()):
            sql = statements("ingest")["known_pieces"]
            rows = await connection.fetch(sql, project_id, week, sorted(nodes))
            there.update(((project_id, week), row["node"]) for row in rows)
        return there

    def _pieces(self, there: set[Named]) -> Iterator[_Piece]:
        """What is not there, in the order that all batches share."""
        missing: dict[Named, tuple[_Chain, int]] = {}
        for each in self._chains.values():
            for index in range(len(each.nodes) - 1, -1, -1):
                name = (each.place, each.nodes[index])
                if name in there or name in missing:
                    break  # and so is all before it
                missing[name] = (each, index)
        for (place, node), (owner, index) in sorted(missing.items(), key=lambda item: item[0]):
            start, end = owner.spans[index]
            yield _Piece(place, node, owner.nodes[index - 1] if index else None, owner.data[start:end])
        for (place, nodes), body in sorted(self._long.items(), key=lambda item: item[0]):
            yield from _long_pieces(place, nodes, body)

    def _rows(self, window: Iterable[_Piece]) -> list[tuple[Any, ...]]:
        """Rows for insert_pieces."""
        return [
            (*each.place, each.node, each.parent, len(each.data), *self._coder.encode_proved(each.data))
            for each in window
        ]


def _comes_back(data: bytes, parts: CutBody, sha256: bytes) -> bool:
    """Whether what is to be stored, read as it will be read, is the body of the wire."""
    digest = hashlib.sha256()
    layout = parts.layout
    try:
        for run in runs_of(layout, len(parts.head), len(parts.tip)):
            if run.kind == SliceKind.REST:
                digest.update(layout[run.index : run.index + run.count])
                continue
            spans = parts.tip if run.kind == SliceKind.TALK else parts.head
            for start, end in spans[run.index : run.index + run.count]:
                digest.update(data[start:end])
    except StoreError:
        return False
    return digest.digest() == sha256


def _long_pieces(place: Place, nodes: tuple[bytes, ...], body: BodySource) -> Iterator[_Piece]:
    parent: bytes | None = None
    seen = 0
    for node, piece in zip(nodes, body.slices(), strict=False):
        if node_of(parent, piece) != node:
            break
        yield _Piece(place, node, parent, piece)
        parent = node
        seen += 1
    if seen != len(nodes):
        raise PoisonError("a body changed between two readings")


def _windows(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    window: list[_Piece] = []
    size = 0
    for piece in pieces:
        window.append(piece)
        size += len(piece.data)
        if size >= WINDOW_BYTES or len(window) >= WINDOW_ROWS:
            yield window
            window, size = [], 0
    if window:
        yield window
