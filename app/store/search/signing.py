"""Makes signatures; the one module that needs numpy, imported by the builder's process alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from app.store.search.signature import MATRICES, MERGED, STRIPE_ROWS, STRIPES, Matrix, salt_of

STEP_CHARACTERS = 1 << 20
"""Characters that are hashed at a time."""
_MULTIPLIER = np.uint32(2654435761)
_FINISHER = np.uint32(0x85EBCA6B)

Points = npt.NDArray[np.uint32]


def sign(blocks: Sequence[str]) -> list[bytes]:
    """The stripes of the signature of these blocks of folded text, padded to a multiple of eight blocks."""
    width = (len(blocks) + 7) // 8 * 8
    parts = []
    for matrix in MATRICES:
        bits = np.zeros(matrix.rows * width, np.bool_)
        for points, block in _steps(blocks):
            for number in range(matrix.hashes):
                rows = _rows(points, matrix, salt_of(matrix, number))
                rows *= np.uint32(width)
                rows += block[: len(rows)]
                bits[rows] = True
        parts.append(np.packbits(bits).tobytes())
    whole = b"".join(parts)
    size = len(whole) // STRIPES
    return [whole[place : place + size] for place in range(0, len(whole), size)]


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
    """One stripe of eight segments (None is all clear), each `width_bytes` a row at most, side by side."""
    parts = np.zeros((STRIPE_ROWS, MERGED, width_bytes), np.uint8)
    for number, stripe in enumerate(stripes):
        if stripe is not None:
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
            texts.append((number, text[max(0, begin - 4) : begin + STEP_CHARACTERS] + "\n"))
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


def _rows(points: Points, matrix: Matrix, salt: int) -> Points:
    """The row of each n-gram."""
    size = max(0, len(points) - matrix.characters + 1)
    mixed = points[:size] * _MULTIPLIER ^ np.uint32(salt)
    for place in range(1, matrix.characters):
        mixed = (mixed ^ points[place : size + place]) * _MULTIPLIER
        mixed ^= mixed >> np.uint32(15)
    mixed *= _FINISHER
    mixed ^= mixed >> np.uint32(13)
    mixed >>= np.uint32(32 - matrix.bits)
    return mixed
