"""Which blocks of closed segments may hold words, and which exchanges blocks hold."""

from __future__ import annotations

import datetime
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.store.search.packing import decode_bounds
from app.store.search.signature import FIRST_STRIPE, STRIPE_ROWS
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection

FIRST_ROWS = 12
"""Rows of a signature that are read at first."""
FEW_BLOCKS = 6
"""Where the first rows leave no more blocks of a segment, verifying these is as fast as reading the other rows."""
MOST_BOUNDS = 2_048
"""Segments whose blocks' bounds are remembered: 8 KB each, 64 KB where they are merged."""

Place = tuple[int, datetime.date]
"""Project and week."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment."""

    place: Place
    number: int
    level: int
    blocks: int
    first: int
    last: int
    """Prefixes of the ids of its first exchange and its last."""

    @property
    def width(self) -> int:
        """Bytes of a row of its signature."""
        return (self.blocks + 7) // 8


class Bounds:
    """Remembers which exchanges the blocks of segments hold; they never change but by a rebuild, and then narrow."""

    def __init__(self) -> None:
        self._known: dict[tuple[Place, int, int], array[int]] = {}

    async def of(self, connection: Connection, segments: Sequence[Segment]) -> list[array[int]]:
        """The bounds of the blocks of each segment, first and last in turns."""
        sql = statements("search")["block_ids"]
        missing: dict[tuple[Place, int], list[int]] = {}
        if len(self._known) + len(segments) > MOST_BOUNDS:
            self._known.clear()
        for each in segments:
            if (each.place, each.number, each.level) not in self._known:
                missing.setdefault((each.place, each.level), []).append(each.number)
        for (place, level), numbers in missing.items():
            for row in await connection.fetch(sql, *place, numbers, level):
                self._known[place, row["segment"], level] = decode_bounds(row["block_ids"])
        return [self._known.get((each.place, each.number, each.level)) or array("Q") for each in segments]


async def candidates(
    connection: Connection, segments: Sequence[Segment], rows: Sequence[int]
) -> list[Sequence[int]]:
    """For each segment its blocks whose bits are set in all rows; all where its signature is not as it should be."""
    if not segments or not rows:
        return [range(each.blocks) for each in segments]
    first = rows if len(rows) <= FIRST_ROWS + FEW_BLOCKS else rows[:FIRST_ROWS]
    common = await _common(connection, segments, first)
    if len(first) < len(rows):
        dense = [number for number, bits in enumerate(common) if bits.bit_count() > FEW_BLOCKS]
        more = await _common(connection, [segments[each] for each in dense], rows[FIRST_ROWS:])
        for number, bits in zip(dense, more, strict=True):
            common[number] &= bits
    return [_places(bits, each) for bits, each in zip(common, segments, strict=True)]


async def _common(connection: Connection, segments: Sequence[Segment], rows: Sequence[int]) -> list[int]:
    """For each segment the bits that are set in all rows, as one number."""
    if not segments:
        return []
    weeks = [each.place[1] for each in segments]
    slices: list[list[bytes]] = [[] for _ in segments]
    found = await connection.fetch(
        statements("search")["slices"],
        *([each.place[0] for each in segments], weeks),
        *([each.number for each in segments], [each.level for each in segments]),
        [each.width for each in segments],
        *([FIRST_STRIPE + row // STRIPE_ROWS for row in rows], [row % STRIPE_ROWS for row in rows]),
        *(min(weeks), max(weeks)),
    )
    for row in found:
        slices[row["number"] - 1].append(row["bits"])
    return [_all_of(these, len(rows), each.width) for these, each in zip(slices, segments, strict=True)]


def _all_of(slices: Sequence[bytes], expected: int, width: int) -> int:
    bits = (1 << width * 8) - 1
    if len(slices) != expected or any(len(each) != width for each in slices):
        return bits
    for each in slices:
        bits &= int.from_bytes(each, "big")
    return bits


def _places(bits: int, segment: Segment) -> Sequence[int]:
    """Where bits are set, from the left."""
    if not bits:
        return ()
    text = f"{bits:0{segment.width * 8}b}"
    found = []
    place = text.find("1")
    while 0 <= place < segment.blocks:
        found.append(place)
        place = text.find("1", place + 1)
    return found
