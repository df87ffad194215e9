"""Packs texts into the blocks of a segment; pure."""

from __future__ import annotations

import hashlib
import sys
import uuid
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.store.search.signature import BLOCKS, ROWS_PER_BLOCK

BLOCK_CHARACTERS = 24_000
"""A block with more is closed: the bits of a block with too many n-grams rule nothing out."""
HASHED_CHARACTERS = 64
"""Texts of this length or more are kept once a week."""
_HIGHEST = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Text:
    """A row of the tail."""

    exchange_id: uuid.UUID
    message: int
    folded: str


@dataclass(slots=True)
class Packed:
    """Texts with their places; `places[n]` is where `texts[n]` stands, from the segment's first row on."""

    texts: list[Text] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    blocks: list[list[str]] = field(default_factory=list)
    """The texts of each block, each once."""
    bounds: array[int] = field(default_factory=lambda: array("Q"))
    """Of each block, the first 8 bytes of its first exchange's id and of its last's."""
    is_full: bool = False

    def encoded_bounds(self) -> bytes:
        """The bounds as they are kept, little end first."""
        bounds = array("Q", self.bounds)
        if sys.byteorder == "big":
            bounds.byteswap()
        return bounds.tobytes()


def pack(texts: Sequence[Text]) -> Packed:
    """Packs texts, in the order of their exchanges, until all are in or BLOCKS blocks are full; an exchange's texts,
    ROWS_PER_BLOCK at most, stand in one block."""
    packed = Packed()
    rows, characters = ROWS_PER_BLOCK, 0
    place = 0
    while place < len(texts):
        end = place + 1
        while end < len(texts) and texts[end].exchange_id == texts[place].exchange_id:
            end += 1
        exchange = texts[place:end]
        if rows + len(exchange) > ROWS_PER_BLOCK or characters > BLOCK_CHARACTERS:
            if len(packed.blocks) == BLOCKS:
                packed.is_full = True
                return packed
            prefix = prefix_of(exchange[0].exchange_id)
            packed.blocks.append([])
            packed.bounds.extend((prefix, prefix))
            rows = characters = 0
        block = packed.blocks[-1]
        for each in exchange:
            packed.places.append((len(packed.blocks) - 1) * ROWS_PER_BLOCK + rows)
            packed.texts.append(each)
            rows += 1
            if each.folded not in block:
                block.append(each.folded)
                characters += len(each.folded)
        packed.bounds[-1] = prefix_of(exchange[0].exchange_id)
        place = end
    return packed


def repack(rows: Sequence[tuple[int, uuid.UUID | None, str]]) -> Packed:
    """Blocks and bounds of texts that have their places (place, exchange, text), in order."""
    packed = Packed()
    for place, exchange_id, folded in rows:
        number = place // ROWS_PER_BLOCK
        while len(packed.blocks) <= number:
            packed.blocks.append([])
            packed.bounds.extend((_HIGHEST, 0))
        if folded not in packed.blocks[number]:
            packed.blocks[number].append(folded)
        if exchange_id is not None:
            prefix = prefix_of(exchange_id)
            packed.bounds[2 * number] = min(packed.bounds[2 * number], prefix)
            packed.bounds[2 * number + 1] = max(packed.bounds[2 * number + 1], prefix)
    return packed


def text_hash(folded: str) -> int | None:
    """A number by which a long text is found again; None for short ones."""
    if len(folded) < HASHED_CHARACTERS:
        return None
    digest = hashlib.blake2b(folded.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def prefix_of(exchange_id: uuid.UUID) -> int:
    """The first 8 bytes of an id."""
    return exchange_id.int >> 64


def decode_bounds(data: bytes) -> array[int]:
    """Bounds as they were kept."""
    bounds = array("Q")
    bounds.frombytes(data[: len(data) // 16 * 16])
    if sys.byteorder == "big":
        bounds.byteswap()
    return bounds
