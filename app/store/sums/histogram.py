"""Histograms of times: logarithmic buckets of ratio 2^(1/8), so a quantile is right to 9 %; pure.

Bucket 0 holds all below 128 microseconds, bucket n what lies between bound(n - 1) and bound(n). In the store a
histogram is one whole number, twelve decimal digits a bucket, bucket 0 last: what adds numbers adds histograms, in a
hundredth of the time that arrays take.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

STEPS_PER_DOUBLING = 8
LOWEST_MICROSECONDS = 128.0
BUCKETS = 8 * 30 + 1
"""The last bucket takes everything above 38 hours."""

DIGITS = 12
"""Of a bucket's count, at most a million million."""
_WORD, _WORDS = 10**4, 3
"""PostgreSQL sends a number as words of four digits: three are a bucket's count."""
_SOME = 1e-9
"""More than nothing, so that a bucket is found that has any."""
_HEAD_WORDS = 4
"""How many words, the power of the first, sign, and digits behind the point."""

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


def counted(groups: Sequence[Sequence[bytes]]) -> npt.NDArray[np.float64]:
    """What the histograms of each group count together: groups × BUCKETS.

    A histogram is a number as numeric_send gives it: a head, and words of four digits, highest first, without zeros at
    the end.
    """
    # The console needs it only here: 20 MB that an idle one goes without.
    import numpy as np

    every = [histogram for histograms in groups for histogram in histograms]
    lengths = np.array([len(each) // 2 for each in every], np.int64)
    words = np.frombuffer(b"".join(every), ">u2").astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    group = np.repeat(np.repeat(np.arange(len(groups)), [len(each) for each in groups]), lengths)
    place = np.arange(len(words)) - np.repeat(starts, lengths) - _HEAD_WORDS
    power = np.repeat(words[starts + 1], lengths) - place
    bucket = np.minimum(power // _WORDS, BUCKETS - 1)
    worth = words * float(_WORD) ** (power % _WORDS)
    is_digit = place >= 0
    held = np.bincount((group * BUCKETS + bucket)[is_digit], worth[is_digit], minlength=len(groups) * BUCKETS)
    return held.astype(np.float64, copy=False).reshape(-1, BUCKETS)


def quantiles_us(
    groups: Sequence[Sequence[bytes]], shares: Sequence[float]
) -> list[tuple[float, ...] | None]:
    """For each group and share (0 to 1) the time below which so many lie, in microseconds; None where none is known."""
    import numpy as np

    counts = counted(groups)
    seen = counts.cumsum(axis=1)
    rows = np.arange(len(groups))
    bounds = np.array((0.0, *BOUNDS_MICROSECONDS, BOUNDS_MICROSECONDS[-1]))
    found = []
    for share in shares:
        wanted = np.maximum(share * seen[:, -1], _SOME)
        place = np.minimum((seen < wanted[:, None]).sum(axis=1), BUCKETS - 1)
        over = (seen[rows, place] - wanted) / np.maximum(counts[rows, place], 1)
        found.append(bounds[place + 1] - (bounds[place + 1] - bounds[place]) * over)
    told = zip(seen[:, -1].tolist(), zip(*[each.tolist() for each in found], strict=True), strict=True)
    return [each if total else None for total, each in told]
