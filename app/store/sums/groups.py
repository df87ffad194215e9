"""Sums of exchanges by groups, and which of the store's tables can tell them; pure."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from app.store.filters.errors import FilterError
from app.store.filters.filter import Filter
from app.store.sums.histogram import quantiles_us

GROUPS = (
    *("hour", "day", "model", "user", "key", "project"),
    *("status", "status_code", "outcome", "endpoint"),
)
TAG = "tag."
TIMES = ("hour", "day")
MOST_GROUPS = 2
SHARES = (0.5, 0.9, 0.95, 0.99)
COUNTS = (
    *("exchanges", "request_bytes", "response_bytes"),
    *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "unpriced"),
)

Source = Literal["hourly", "users", "tags", "exchanges"]
"""What is told of: `hourly` are sums of hours, and of days and weeks where these suffice."""

_HOURLY_GROUPS = frozenset({"hour", "day", "model", "key", "project", "status", "outcome", "endpoint"})
_HOURLY_FILTERS = frozenset({"project", "model", "key", "outcome", "status", "since", "until"})
_TAG_GROUPS = frozenset({"day", "project"})
_TAG_FILTERS = frozenset({"project", "since", "until"})
_USER_GROUPS = frozenset({"day", "user", "model", "project"})
_USER_FILTERS = frozenset({"project", "model", "user", "since", "until"})


class Row(Protocol):
    """A row of sums."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Sums:
    """What a group adds up to; bytes, tokens, US dollars."""

    counts: dict[str, int]
    errors: int | None
    """Answers of 400 and above, and exchanges that ended otherwise than completed or left; None is unknown."""
    cost: decimal.Decimal
    durations: list[bytes]
    """Histograms as they are kept; none where no times are asked for."""
    ttfts: list[bytes]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Sums:
        """Adds up rows of sums, one at least."""
        first = rows[0]
        counts = {name: first[name] for name in COUNTS}
        errors, cost = first["errors"], first["cost"]
        for row in rows[1:]:
            for name in COUNTS:
                counts[name] += row[name]
            errors = None if errors is None or row["errors"] is None else errors + row["errors"]
            cost += row["cost"]
        durations = [row["durations"] for row in rows if row["durations"]]
        return cls(counts, errors, cost, durations, [row["ttfts"] for row in rows if row["ttfts"]])


Quantiles = tuple[float, ...] | None
"""Times at SHARES, in microseconds; None where there are none."""


def quantiles(groups: Sequence[Sums]) -> list[tuple[Quantiles, Quantiles]]:
    """Durations of each group, and times to the first byte."""
    durations = quantiles_us([each.durations for each in groups], SHARES)
    return list(zip(durations, quantiles_us([each.ttfts for each in groups], SHARES), strict=True))


def read_groups(text: str) -> list[str]:
    """The groups of `group_by`: none, one or two. Raises FilterError."""
    groups: list[str] = []
    position = 0
    for name in text.split(",") if text else []:
        if name not in GROUPS and not (name.startswith(TAG) and len(name) > len(TAG)):
            expected = f"expected one of {', '.join(GROUPS)}, tag.NAME"
            raise FilterError("group_by", expected, text, position)
        if name in groups or len(groups) == MOST_GROUPS:
            raise FilterError("group_by", "takes one or two different groups", text, position)
        groups.append(name)
        position += len(name) + 1
    return groups


def source_of(groups: Sequence[str], wanted: Filter) -> Source:
    """The smallest table that knows enough."""
    asked = wanted.asked()
    if _HOURLY_GROUPS.issuperset(groups) and asked <= _HOURLY_FILTERS and status_classes(wanted) != ():
        return "hourly"
    if ("user" in groups or "user" in asked) and _USER_GROUPS.issuperset(groups) and asked <= _USER_FILTERS:
        return "users"
    tags = [each for each in groups if each.startswith(TAG)]
    if len(tags) == 1 and _TAG_GROUPS.issuperset(set(groups) - {*tags}) and asked <= _TAG_FILTERS:
        return "tags"
    return "exchanges"


def status_classes(wanted: Filter) -> tuple[int, ...] | None:
    """The classes of which whole ones are wanted (4 for 4xx); None for all, () where parts of some are."""
    if wanted.status is None:
        return None
    statuses = set(wanted.statuses())
    classes = sorted({each // 100 for each in statuses})
    whole = {each for number in classes for each in range(number * 100, number * 100 + 100)}
    return tuple(classes) if whole == statuses else ()
