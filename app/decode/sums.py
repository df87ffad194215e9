"""Usage of several answers in one object: numbers added, whatever the provider calls them."""

from __future__ import annotations

import math

MAX_DEPTH = 4
MAX_FIELDS = 64


def add_usage(one: dict[str, object], other: dict[str, object], depth: int = 0) -> dict[str, object]:
    """Both with their numbers added, objects in them too; of anything else the first is kept."""
    total = dict(one)
    for name, value in list(other.items())[:MAX_FIELDS]:
        held = total.get(name)
        if isinstance(value, dict) and isinstance(held, dict | None):
            total[name] = add_usage(held or {}, value, depth + 1) if depth < MAX_DEPTH else value
        elif _is_number(value) and _is_number(held):
            total[name] = _added(held, value)
        elif held is None:
            total[name] = value
    return total


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _added(one: object, other: object) -> int | float | None:
    """None where the sum would be no number that can be kept."""
    if isinstance(one, int) and isinstance(other, int):
        return one + other if abs(one) < 1 << 62 and abs(other) < 1 << 62 else None
    if isinstance(one, int | float) and isinstance(other, int | float):
        try:
            total = math.fsum((one, other))
        except (OverflowError, ValueError):
            return None
        return total if math.isfinite(total) else None
    return None
