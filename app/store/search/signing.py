"""Makes signatures; the one module that needs numpy, imported by the builder's process alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from app.store.search.signature import MATRICES, ROWS, STRIPE_ROWS, Matrix, salt_of

STEP_CHARACTERS = 1 << 20
"""Characters that are hashed at a time."""
TOGETHER = 8
"""Blocks that are signed together: their bits are in one byte, and what is worked on stays in the processor's cache."""
_MULTIPLIER = np.uint32(2654435761)
_FINISHER = np.uint32(0x85EBCA6B)

Points = npt.NDArray[np.uint32]


def sign(blocks: Sequence[str]) -> list[bytes]:
    """The stripes of the signature of these blocks of folded text, padded to a multiple of eight blocks."""
    width = (len(blocks) + TOGETHER - 1) // TOGETHER
    whole = np.zeros((ROWS, width), np.uint8)
    for place in range(width):
        steps = list(_steps(blocks[place * TOGETHER : (place + 1) * TOGETHER]))
        for matrix in MATRICES:
            bits = np.zeros(matrix.rows * TOGETHER, np.bool_)
            for points, block in steps:
                mixed = _mixed(points, matrix)
                for number in range(matrix.hashes):
                    rows = _rows(mixed, matrix, salt_of(matrix, number))
                    rows *= np.uint32(TOGETHER)
                    rows += block[: len(rows)]
                    bits[rows] = True
            whole[matrix.first_row : matrix.first_row + matrix.rows, place] = np.packbits(bits)
    return [whole[row : row + STRIPE_ROWS].tobytes() for row in range(0, ROWS, STRIPE_ROWS)]


def fill(stripes: Sequence[bytes]) -> list[float]:
    """The share of bits that are set, by matrix."""
    width = len(stripes[0]) // STRIPE_ROWS
    whole = b"".join(stripes)
    return [
        float(
            np.unpackbits(
                np.frombuffer(whole, np.uint8, each.rows * width, offset=each.first_row * width)
            ).mean()
        )
        for each in MATRICES
    ]


def merge(stripes: Sequence[bytes | None], width_bytes: int) -> bytes:
    """One stripe of some segments (None is unknown: all set), each `width_bytes` a row at most, side by side."""
    parts = np.zeros((STRIPE_ROWS, len(stripes), width_bytes), np.uint8)
    for number, stripe in enumerate(stripes):
        if stripe is None:
            parts[:, number] = 0xFF
        else:
            rows = np.frombuffer(stripe, np.uint8).reshape(STRIPE_ROWS, -1)
            parts[:, number, : rows.shape[1]] = rows
    return parts.tobytes()


def _steps(blocks: Sequence[str]) -> Iterator[tuple[Points, Points]]:
    """Code points with the numbers of their blocks, a bounded number at a time; each block ends with a line's end."""
    texts: list[tuple[int, str]] = []
    size = 0
    for number, text in enumerate(blocks):
        # A block that is longer than a step is cut; what is cut overlaps by the longest n-gram but one.
        for begin in range(0, len(text), STEP_CHARACTERS) or (0,):
            piece = text[max(0, begin - MATRICES[-1].characters + 1) : begin + STEP_CHARACTERS]
            texts.append((number, piece + "\n"))
            size += len(texts[-1][1])
            if size >= STEP_CHARACTERS:
                yield _points(texts)
                texts, size = [], 0
    if texts:
        yield _points(texts)


def _points(texts: list[tuple[int, str]]) -> tuple[Points, Points]:
    encoded = "".join([text for _, text in texts]).encode("utf-32-le", "replace")
    numbers = np.array([number for number, _ in texts], np.uint32)
    return np.frombuffer(encoded, np.uint32), np.repeat(numbers, [len(text) for _, text in texts])


def _mixed(points: Points, matrix: Matrix) -> Points:
    """Each n-gram as a number."""
    size = max(0, len(points) - matrix.characters + 1)
    mixed = points[:size] * _MULTIPLIER
    for place in range(1, matrix.characters):
        mixed ^= points[place : size + place]
        mixed *= _MULTIPLIER
        mixed ^= mixed >> np.uint32(15)
    return mixed


def _rows(mixed: Points, matrix: Matrix, salt: int) -> Points:
    """The row of one hash of each."""
    hashed = mixed ^ np.uint32(salt)
    hashed *= _FINISHER
    hashed ^= hashed >> np.uint32(13)
    hashed *= _MULTIPLIER
    hashed >>= np.uint32(32 - matrix.bits)
    return hashed
