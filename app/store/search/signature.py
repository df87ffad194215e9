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
FIRST_STRIPE = 32
"""The number of the first stripe. Stripes of a former layout, which are of no use, have lower ones."""

_PAIR_HASHES = {5: 2, 6: 2, 7: 1}
"""By the length of a word, how many hashes of its pairs are asked for: all of shorter ones, none of longer ones."""
_FOURS_THINNED = 8
"""Of words of this length or longer each third n-gram of four is asked for."""

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


MATRICES = (Matrix(2, 16, 4, 0), Matrix(4, 15, 2, 1 << 16), Matrix(7, 16, 2, (1 << 16) + (1 << 15)))
ROWS = sum(each.rows for each in MATRICES)
STRIPES = ROWS // STRIPE_ROWS


def salt_of(matrix: Matrix, number: int) -> int:
    """What tells one hash of a matrix from the others."""
    return (number * 5 + matrix.characters * 7) * _SALT & _MASK


def rows_of(word: str) -> list[int]:
    """The rows whose bits a block that holds a folded word has; none for one character.

    Those that lie far apart come first: the first few rule out most blocks.
    """
    points = [ord(each) for each in word]
    by_hash: list[list[int]] = []
    for matrix in reversed(MATRICES):
        places = range(len(points) - matrix.characters + 1)
        hashes = matrix.hashes
        if matrix.characters == 2 and len(points) > MATRICES[1].characters:
            hashes = _PAIR_HASHES.get(len(points), 0)
        elif matrix.characters == 4 and len(points) >= _FOURS_THINNED:
            places = range(0, len(places), 3)
        mixed = [_mixed(points, place, matrix) for place in places]
        for number in range(hashes):
            salt = salt_of(matrix, number)
            by_hash.append([matrix.first_row + _row(each, matrix, salt) for each in mixed])
    return list(dict.fromkeys(row for rows in by_hash for row in _spread(rows)))


def _spread(rows: list[int]) -> list[int]:
    """The same, neighbours far from each other: each third, then the next of each."""
    return [row for begin in range(3) for row in rows[begin::3]]


def _mixed(points: list[int], place: int, matrix: Matrix) -> int:
    """An n-gram as a number; the same as signing does for all places at once."""
    mixed = points[place] * _MULTIPLIER & _MASK
    for point in points[place + 1 : place + matrix.characters]:
        mixed = (mixed ^ point) * _MULTIPLIER & _MASK
        mixed ^= mixed >> 15
    return mixed


def _row(mixed: int, matrix: Matrix, salt: int) -> int:
    """The row of one hash of it."""
    hashed = (mixed ^ salt) * _FINISHER & _MASK
    hashed ^= hashed >> 13
    hashed = hashed * _MULTIPLIER & _MASK
    return hashed >> (32 - matrix.bits)
