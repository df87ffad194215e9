"""Rebuilds bodies from their slices, each proved by its node, a few megabytes at a time."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from app.errors import StoreError
from app.store.pieces import decode_piece
from app.store.pool import Pool
from app.store.statements import statements

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
    """Where the slices of a body are: a head slice, the chain that ends in a tip, a tail slice."""

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
    """One slice, without its bytes."""

    node: bytes
    raw_bytes: int


class BodyReader:
    """Finds and reads slices; no transaction stays open between two of its reads."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("query")

    async def pieces(self, manifest: Manifest) -> list[PieceName]:
        """The slices of a body in order; raises StoreError where one is gone."""
        names: list[PieceName] = []
        async with self._pool.transaction(readonly=True) as connection:
            for tip in (manifest.head, manifest.tip, manifest.tail):
                if tip is None:
                    continue
                rows = await connection.fetch(self._sql["chain"], manifest.project_id, manifest.week, tip)
                if not rows or rows[0]["parent"] is not None:
                    raise StoreError(f"the slices that lead to {tip.hex()} are not all there")
                names += [PieceName(row["node"], row["raw_bytes"]) for row in rows]
        return names

    async def read(self, manifest: Manifest, names: Sequence[PieceName]) -> AsyncIterator[bytes]:
        """The bytes of slices in order."""
        for window in _windows(names):
            wanted = [each.node for each in window]
            async with self._pool.transaction(readonly=True) as connection:
                rows = await connection.fetch(
                    self._sql["pieces"], manifest.project_id, manifest.week, sorted(set(wanted))
                )
            found = {row["node"]: row for row in rows}
            del rows
            for node in wanted:
                if node not in found:
                    raise StoreError(f"piece {node.hex()} is gone")
                row = found[node]
                yield decode_piece(node, row["parent"], row["raw_bytes"], row["coding"], row["data"])


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
