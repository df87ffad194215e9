"""Bodies and header lists as chains of slices; each slice is kept once a project and week.

A node is SHA-256(parent's node ‖ slice), for the first slice 32 zero bytes ‖ slice. Without the zero bytes a body that
begins with the 32 bytes of another chain's node would be taken for that chain's next slice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import field

import msgspec
import zstandard

from app.errors import StoreError
from app.frozen import value
from app.store.slices.dictionary import shared_dictionary
from app.store.writing.record import SLICE_BYTES, ChunkTime

ROOT = bytes(32)
RAW, ZSTD, ZSTD_SHARED = 0, 1, 2
"""Codings: as it was, zstd, zstd with the dictionary of app.store.slices.dictionary."""
SHORTEST_COMPRESSED_BYTES = 32
SHARED_BELOW_BYTES = 64 << 10
FAST_FROM_BYTES = 1 << 20


@value
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


class Coder:
    """Compresses slices where that makes them smaller, and gives them back; for one thread at a time."""

    def __init__(self) -> None:
        dictionary = zstandard.ZstdCompressionDict(
            shared_dictionary(), dict_type=zstandard.DICT_TYPE_RAWCONTENT
        )
        dictionary.precompute_compress(level=3)
        self._small = zstandard.ZstdCompressor(level=3, dict_data=dictionary)
        self._middle = zstandard.ZstdCompressor(level=3)
        self._large = zstandard.ZstdCompressor(level=1)
        self._decompressors = {
            ZSTD: zstandard.ZstdDecompressor(),
            ZSTD_SHARED: zstandard.ZstdDecompressor(dict_data=dictionary),
        }

    def encode(self, piece: bytes) -> tuple[int, bytes]:
        """The coding and the bytes to keep."""
        size = len(piece)
        if size < SHORTEST_COMPRESSED_BYTES:
            return RAW, piece
        if size < SHARED_BELOW_BYTES:
            coding, compressed = ZSTD_SHARED, self._small.compress(piece)
        else:
            compressor = self._large if size >= FAST_FROM_BYTES else self._middle
            coding, compressed = ZSTD, compressor.compress(piece)
        return (coding, compressed) if len(compressed) < size else (RAW, piece)

    def encode_proved(self, piece: bytes) -> tuple[int, bytes]:
        """The same, undone again and compared before it is given; raw where that fails."""
        coding, kept = self.encode(piece)
        try:
            came_back = self._undo(coding, kept, len(piece))
        except zstandard.ZstdError:
            came_back = b""
        return (coding, kept) if came_back == piece else (RAW, piece)

    def decode(self, node: bytes, parent: bytes | None, raw_bytes: int, coding: int, data: bytes) -> bytes:
        """The slice as it was, proved by its node; raises StoreError where it is damaged."""
        try:
            piece = self._undo(coding, data, raw_bytes)
        except zstandard.ZstdError as error:
            raise StoreError(f"piece {node.hex()} is damaged") from error
        if node_of(parent, piece) != node:
            raise StoreError(f"piece {node.hex()} is damaged")
        return piece

    def encode_chunk_times(self, times: list[ChunkTime]) -> bytes | None:
        """Arrival times as zstd over MessagePack: two lists, differences in microseconds and sizes in bytes."""
        if not times:
            return None
        before = [0, *(each.offset_us for each in times)]
        steps = [each.offset_us - earlier for each, earlier in zip(times, before, strict=False)]
        packed = msgspec.msgpack.encode((steps, [each.size_bytes for each in times]))
        return self._middle.compress(packed)

    def _undo(self, coding: int, data: bytes, raw_bytes: int) -> bytes:
        if coding == RAW:
            return data
        decompressor = self._decompressors.get(coding)
        if decompressor is None:
            raise StoreError(f"a piece has the coding {coding}, which a newer version wrote; upgrade")
        return decompressor.decompress(data, max_output_size=raw_bytes)


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


def decode_chunk_times(data: bytes | None) -> list[ChunkTime]:
    """What Coder.encode_chunk_times made."""
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
