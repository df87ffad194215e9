"""The layout of signatures, and which of their rows a word has; pure, and without numpy.

A segment's signature is a matrix of bits: a row for each hash value of n characters, a column for each block of
messages. A bit is set where the block holds characters with that hash. So the blocks that may hold a word are those
whose bits are set in all rows of the word's n-grams, and no other block can.
"""

from __future__ import annotations

from app.frozen import value

ROWS_PER_BLOCK = 16
BLOCKS = 1024
"""Of a segment; a block has up to 16 rows of text, all of them of whole exchanges."""
MERGED = 8
"""Segments that are merged to one."""
STRIPE_ROWS = 8_192
"""Rows of the matrix that are kept as one value."""

_MULTIPLIER = 2654435761
_FINISHER = 0x85EBCA6B
_SALT = 0x9E3779B1
_MASK = 0xFFFFFFFF


@value
class Matrix:
    """The rows of one length of n-grams, after those of the shorter ones."""

    characters: int
    bits: int
    """It has 2 to this power rows."""
    hashes: int
    first_row: int

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return 1 << self.bits


MATRICES = (Matrix(2, 15, 2, 0), Matrix(3, 16, 2, 1 << 15), Matrix(5, 16, 1, (1 << 15) + (1 << 16)))
ROWS = sum(each.rows for each in MATRICES)
STRIPES = ROWS // STRIPE_ROWS


def salt_of(matrix: Matrix, number: int) -> int:
    """What tells one hash of a matrix from the other."""
    return (number + matrix.characters * 7) * _SALT & _MASK


def rows_of(word: str) -> list[int]:
    """The rows whose bits a block that holds a folded word has; none for one character."""
    points = [ord(each) for each in word]
    found: set[int] = set()
    for matrix in MATRICES:
        places = range(len(points) - matrix.characters + 1)
        if matrix.characters == 2 and len(points) > 2:
            continue
        if matrix.characters == 3 and len(points) >= 8:
            places = range(0, len(places), 3)
        for number in range(matrix.hashes):
            salt = salt_of(matrix, number)
            found.update(matrix.first_row + _row(points, place, matrix, salt) for place in places)
    return sorted(found)


def _row(points: list[int], place: int, matrix: Matrix, salt: int) -> int:
    """The same as signing does for all places at once."""
    mixed = (points[place] * _MULTIPLIER ^ salt) & _MASK
    for point in points[place + 1 : place + matrix.characters]:
        mixed = (mixed ^ point) * _MULTIPLIER & _MASK
        mixed ^= mixed >> 15
    mixed = mixed * _FINISHER & _MASK
    return (mixed ^ mixed >> 13) >> (32 - matrix.bits)
