"""Histograms of times: logarithmic buckets of ratio 2^(1/8), so a quantile is right to 9 %; pure.

Bucket 0 holds all below 128 microseconds, bucket n what lies between bound(n - 1) and bound(n). In the store a
histogram is one whole number, twelve decimal digits a bucket, bucket 0 last: what adds numbers adds histograms, in a
hundredth of the time that arrays take.
"""

from __future__ import annotations

import bisect
import itertools
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

STEPS_PER_DOUBLING = 8
LOWEST_MICROSECONDS = 128.0
BUCKETS = 8 * 30 + 1
"""The last bucket takes everything above 38 hours."""

DIGITS = 12
"""Of a bucket's count, at most a million million."""
_WORD_DIGITS, _WORDS = 4, 3
"""PostgreSQL sends a number as words of four digits: three are a bucket's count."""
_HEAD = struct.Struct(">HhHH")

BOUNDS_MICROSECONDS = tuple(
    LOWEST_MICROSECONDS * 2 ** (each / STEPS_PER_DOUBLING) for each in range(BUCKETS - 1)
)


def bucket(microseconds: int) -> int:
    """The number of the bucket that a time falls into."""
    return bisect.bisect_right(BOUNDS_MICROSECONDS, microseconds)


def packed(times_us: Sequence[int]) -> str:
    """The histogram of some times as one number."""
    counts = Counter(map(bucket, times_us))
    digits: list[str] = []
    last = max(counts, default=-1) + 1
    for number in sorted(counts, reverse=True):
        digits.append("0" * (DIGITS * (last - number - 1)))
        digits.append(f"{counts[number]:0{DIGITS}}")
        last = number
    digits.append("0" * (DIGITS * last))
    return "".join(digits).lstrip("0") or "0"


def unpacked(sent: bytes) -> dict[int, int]:
    """A histogram, a number as numeric_send gives it, as counts by bucket."""
    _, highest, _, _ = _HEAD.unpack_from(sent)
    words = array("H", sent[_HEAD.size :])
    if sys.byteorder == "little":
        words.byteswap()
    counts: dict[int, int] = {}
    for number, word in zip(range(highest, -1, -1), words, strict=False):
        if word:
            place, part = divmod(number, _WORDS)
            counts[place] = counts.get(place, 0) + word * 10 ** (_WORD_DIGITS * part)
    return counts


def quantiles_us(counts: Mapping[int, int], shares: Sequence[float]) -> list[float | None]:
    """For each share (0 to 1) the time below which so many lie, in microseconds; None where there are none."""
    buckets = sorted(each for each, count in counts.items() if count > 0)
    if not buckets:
        return [None] * len(shares)
    seen = list(itertools.accumulate(counts[each] for each in buckets))
    found: list[float | None] = []
    for share in shares:
        wanted = share * seen[-1]
        place = min(bisect.bisect_left(seen, wanted), len(seen) - 1)
        number = buckets[place]
        low = BOUNDS_MICROSECONDS[number - 1] if number else 0.0
        high = BOUNDS_MICROSECONDS[min(number, BUCKETS - 2)]
        found.append(high - (high - low) * (seen[place] - wanted) / counts[number])
    return found
