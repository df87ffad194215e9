"""Bodies and header lists as chains of slices; each slice is kept once a project and week.

A node is SHA-256(parent's node ‖ slice), for the first slice 32 zero bytes ‖ slice. Without the zero bytes a body that
begins with the 32 bytes of another chain's node would be taken for that chain's next slice.

Two batches that insert the same nodes in opposite order deadlock. Here every batch follows one order over all nodes
there can be: first the short bodies (one slice, under SLICE_BYTES) by key, then the long ones by their lists of nodes,
which is the pre-order of a forest. No node can be in both: the first slice of a long body is SLICE_BYTES long.

Memory is bounded by the window, not by the bodies: they are read twice, to name their slices and to write them.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import zstandard

from app.errors import PoisonError, StoreError
from app.exchange import KeptHeaders
from app.store.record import SLICE_BYTES, BodySource, ChunkTime
from app.store.rows import columns
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.pool import Connection

ROOT = bytes(32)
RAW, ZSTD = 0, 1
WINDOW_BYTES = 4 << 20
"""Compressed bytes that are sent to PostgreSQL at once; one slice may go over it."""
WINDOW_ROWS = 500
SHORTEST_COMPRESSED_BYTES = 64
FAST_FROM_BYTES = 1 << 20

Place = tuple[int, datetime.date]
"""The number of a project and the week: what pieces are shared within."""


@dataclass(frozen=True, slots=True)
class HeldBody:
    """A body in memory, as a BodySource."""

    data: bytes
    sha256: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", hashlib.sha256(self.data).digest())

    @property
    def length_bytes(self) -> int:
        """Bytes in all."""
        return len(self.data)

    def slices(self) -> Iterator[bytes]:
        """The bytes in order, cut every SLICE_BYTES."""
        for start in range(0, len(self.data), SLICE_BYTES):
            yield self.data[start : start + SLICE_BYTES]


class PieceBatch:
    """The slices of one batch: `add` names them, `write` sends them."""

    def __init__(self) -> None:
        self._short: dict[tuple[Place, bytes], BodySource] = {}
        self._long: dict[tuple[Place, tuple[bytes, ...]], BodySource] = {}
        self._coder = Coder()

    def add(self, place: Place, body: BodySource | None) -> bytes | None:
        """Takes a body and gives the node that it ends on; None where there is none or it is empty."""
        nodes = tuple(chain(body.slices())) if body is not None else ()
        if body is None or not nodes:
            return None
        if len(nodes) == 1 and body.length_bytes < SLICE_BYTES:
            self._short[place, nodes[0]] = body
        else:
            self._long[place, nodes] = body
        return nodes[-1]

    def add_headers(self, place: Place, headers: KeptHeaders | None) -> bytes | None:
        """Takes a header list and gives its node."""
        return None if headers is None else self.add(place, HeldBody(msgspec.msgpack.encode(headers)))

    async def write(self, connection: Connection) -> None:
        """Inserts all slices that are not there yet."""
        sql = statements("ingest")["insert_pieces"]
        for window in _windows(self._rows()):
            await connection.execute(sql, *columns(window))

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        for (place, node), body in sorted(self._short.items(), key=lambda item: item[0]):
            yield from self._chain_rows(place, (node,), body)
        for (place, nodes), body in sorted(self._long.items(), key=lambda item: item[0]):
            yield from self._chain_rows(place, nodes, body)

    def _chain_rows(
        self, place: Place, nodes: tuple[bytes, ...], body: BodySource
    ) -> Iterator[tuple[Any, ...]]:
        parent: bytes | None = None
        seen = 0
        for node, piece in zip(nodes, body.slices(), strict=False):
            if node_of(parent, piece) != node:
                break
            coding, data = self._coder.encode(piece)
            yield (*place, node, parent, len(piece), coding, data)
            parent = node
            seen += 1
        if seen != len(nodes):
            raise PoisonError("a body changed between two readings")


class Coder:
    """Compresses slices where that makes them smaller."""

    def __init__(self) -> None:
        self._small = zstandard.ZstdCompressor(level=3)
        self._large = zstandard.ZstdCompressor(level=1)

    def encode(self, piece: bytes) -> tuple[int, bytes]:
        """The coding and the bytes to keep."""
        if len(piece) < SHORTEST_COMPRESSED_BYTES:
            return RAW, piece
        compressed = (self._large if len(piece) >= FAST_FROM_BYTES else self._small).compress(piece)
        return (ZSTD, compressed) if len(compressed) < len(piece) else (RAW, piece)


def decode_piece(node: bytes, parent: bytes | None, raw_bytes: int, coding: int, data: bytes) -> bytes:
    """The slice as it was, proved by its node; raises StoreError where it is damaged."""
    try:
        piece = (
            data
            if coding == RAW
            else zstandard.ZstdDecompressor().decompress(data, max_output_size=raw_bytes)
        )
    except zstandard.ZstdError as error:
        raise StoreError(f"piece {node.hex()} is damaged") from error
    if node_of(parent, piece) != node:
        raise StoreError(f"piece {node.hex()} is damaged")
    return piece


def node_of(parent: bytes | None, piece: bytes) -> bytes:
    """The name of a slice."""
    digest = hashlib.sha256(parent or ROOT)
    digest.update(piece)
    return digest.digest()


def chain(slices: Iterable[bytes]) -> Iterator[bytes]:
    """The nodes of a body's slices."""
    parent: bytes | None = None
    for piece in slices:
        parent = node_of(parent, piece)
        yield parent


def encode_chunk_times(times: list[ChunkTime]) -> bytes | None:
    """Arrival times as zstd over MessagePack: two lists, differences in microseconds and sizes in bytes."""
    if not times:
        return None
    before = [0, *(each.offset_us for each in times)]
    steps = [each.offset_us - earlier for each, earlier in zip(times, before, strict=False)]
    packed = msgspec.msgpack.encode((steps, [each.size_bytes for each in times]))
    return zstandard.ZstdCompressor(level=3).compress(packed)


def decode_chunk_times(data: bytes | None) -> list[ChunkTime]:
    """What encode_chunk_times made."""
    if data is None:
        return []
    packed = zstandard.ZstdDecompressor().decompress(data)
    steps, sizes = msgspec.msgpack.decode(packed, type=tuple[list[int], list[int]])
    offset_us = 0
    times = []
    for step, size in zip(steps, sizes, strict=True):
        offset_us += step
        times.append(ChunkTime(offset_us, size))
    return times


def _windows(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    window: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        window.append(row)
        size += len(row[-1])
        if size >= WINDOW_BYTES or len(window) >= WINDOW_ROWS:
            yield window
            window, size = [], 0
    if window:
        yield window
