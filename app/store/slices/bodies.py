"""Rebuilds bodies from their slices, each proved by its node, a few megabytes at a time.

The names of all slices are read first, in one statement a chain: 10,000 of them take 2 MB. Their bytes follow in
windows, so that memory does not grow with a body.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import StoreError
from app.exchange import SliceKind
from app.store.database.pool import Pool
from app.store.slices.layout import runs_of
from app.store.slices.pieces import Coder
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection

WINDOW_BYTES = 4 << 20
"""Bytes that are fetched at once; one slice may go over it."""
WINDOW_PIECES = 500


@dataclass(frozen=True, slots=True)
class StoredBody:
    """The exact bytes of one body, read as `chunks` is."""

    content_type: str | None
    content_encoding: str | None
    length_bytes: int
    sha256: bytes
    chunks: AsyncIterator[bytes]
    """To be read once; raises StoreError where a slice is gone or damaged."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where the slices of a body are: the chain of a tip alone, or both chains and the layout in the tail."""

    project_id: int
    week: datetime.date
    head: bytes | None = None
    tip: bytes | None = None
    tail: bytes | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no slice is named."""
        return self.head is None and self.tip is None and self.tail is None


@dataclass(frozen=True, slots=True)
class PieceName:
    """One slice, or a part of it, without its bytes."""

    node: bytes
    raw_bytes: int
    offset: int = 0
    """Where the part begins in its slice."""


class BodyReader:
    """Finds and reads slices; no transaction stays open between two of its reads."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("query")
        self._coder = Coder()

    async def pieces(self, manifest: Manifest) -> list[PieceName]:
        """The slices of a body in order; raises StoreError where one is gone."""
        async with self._pool.transaction(readonly=True) as connection:
            head, tip, tail = [
                await self._chain(connection, manifest, end)
                for end in (manifest.head, manifest.tip, manifest.tail)
            ]
        if not tail:
            return head + tip
        layout = b"".join([chunk async for chunk in self.read(manifest, tail)])
        return in_order(head, tip, tail[0], layout)

    async def _chain(self, connection: Connection, manifest: Manifest, end: bytes | None) -> list[PieceName]:
        """The slices that lead to a node, and its own."""
        if end is None:
            return []
        rows = await connection.fetch(self._sql["chain"], manifest.project_id, manifest.week, end)
        if not rows or rows[0]["parent"] is not None:
            raise StoreError(f"the slices that lead to {end.hex()} are not all there")
        return [PieceName(row["node"], row["raw_bytes"]) for row in rows]

    async def read(self, manifest: Manifest, names: Sequence[PieceName]) -> AsyncIterator[bytes]:
        """The bytes of slices in order."""
        for window in _windows(names):
            wanted = sorted({each.node for each in window})
            async with self._pool.transaction(readonly=True) as connection:
                rows = await connection.fetch(self._sql["pieces"], manifest.project_id, manifest.week, wanted)
            found = {row["node"]: row for row in rows}
            del rows
            for name in window:
                if name.node not in found:
                    raise StoreError(f"piece {name.node.hex()} is gone")
                row = found[name.node]
                piece = self._coder.decode(
                    name.node, row["parent"], row["raw_bytes"], row["coding"], row["data"]
                )
                yield piece[name.offset : name.offset + name.raw_bytes]


def in_order(
    head: Sequence[PieceName], tip: Sequence[PieceName], tail: PieceName, layout: bytes
) -> list[PieceName]:
    """The slices of a body that was cut, and the parts of its tail, in the order of its bytes; raises StoreError."""
    names: list[PieceName] = []
    for run in runs_of(layout, len(head), len(tip)):
        if run.kind == SliceKind.REST:
            names.append(PieceName(tail.node, run.count, run.index))
        else:
            names += (tip if run.kind == SliceKind.TALK else head)[run.index : run.index + run.count]
    return names


def _windows(names: Sequence[PieceName]) -> Iterator[list[PieceName]]:
    window: list[PieceName] = []
    size = 0
    for name in names:
        if window and (size + name.raw_bytes > WINDOW_BYTES or len(window) >= WINDOW_PIECES):
            yield window
            window, size = [], 0
        window.append(name)
        size += name.raw_bytes
    if window:
        yield window
