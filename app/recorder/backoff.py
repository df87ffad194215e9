"""How long to wait after a failure: 0.1 s, twice as long each time, at most 8 s, and never all at once."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 8.0
"""A database that is back is noticed within 10 s, however long it was away."""


class Backoff:
    """Waiting times between tries; a success starts them anew."""

    __slots__ = ("_next_seconds", "_random")

    def __init__(self, source: random.Random | None = None) -> None:
        self._next_seconds = FIRST_SECONDS
        self._random = source or random.Random()

    def failed(self) -> float:
        """Seconds to wait now: between half and all of the step, so that a hundred recorders do not call together."""
        step = self._next_seconds
        self._next_seconds = min(LONGEST_SECONDS, step * 2)
        return step * (0.5 + self._random.random() / 2)

    def succeeded(self) -> None:
        """Starts anew."""
        self._next_seconds = FIRST_SECONDS
