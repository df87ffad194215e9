"""Histograms of times as `int4[]`: logarithmic buckets of ratio 2^(1/8), so a quantile is right to 9 %; pure.

Bucket 0 holds all below 128 microseconds, bucket n what lies between bound(n - 1) and bound(n). Arrays end with their
last bucket that is not 0; they are added element by element.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

STEPS_PER_DOUBLING = 8
LOWEST_MICROSECONDS = 128.0
BUCKETS = 8 * 30 + 1
"""The last bucket takes everything above 38 hours."""

BOUNDS_MICROSECONDS = tuple(
    LOWEST_MICROSECONDS * 2 ** (each / STEPS_PER_DOUBLING) for each in range(BUCKETS - 1)
)


def bucket(microseconds: int) -> int:
    """The number of the bucket that a time falls into."""
    return bisect.bisect_right(BOUNDS_MICROSECONDS, microseconds)


def histogram(times_us: Sequence[int]) -> list[int]:
    """The histogram of some times."""
    numbers = [bucket(each) for each in times_us]
    counts = [0] * (max(numbers, default=-1) + 1)
    for each in numbers:
        counts[each] += 1
    return counts


def quantile_us(counts: Sequence[int], share: float) -> float | None:
    """The time below which `share` (0 to 1) of all lie, in microseconds; None where there are none."""
    seen = list(itertools.accumulate(counts))
    if not seen or seen[-1] == 0:
        return None
    wanted = share * seen[-1]
    number = bisect.bisect_left(seen, wanted) if wanted > 0 else bisect.bisect_right(seen, 0)
    number = min(number, len(seen) - 1)
    low = BOUNDS_MICROSECONDS[number - 1] if number else 0.0
    high = BOUNDS_MICROSECONDS[min(number, BUCKETS - 2)]
    count = counts[number]
    return low + (high - low) * (wanted - seen[number] + count) / count if count else high
