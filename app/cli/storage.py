"""`verbatim storage`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.cli.asking import Asked
from app.cli.output import Shown, print_json, print_table, wants_json

KINDS = ("metadata", "content", "search")
COLUMNS = (Shown("from"), Shown("before"), *(Shown(name, "right") for name in ("exchanges", *KINDS)))
_UNITS = ("B", "kB", "MB", "GB", "TB")


def storage(asked: Asked) -> None:
    """Tell how much room the record takes: by week and month, growth a day, when the limit is reached."""
    answer = asked.api.get("/api/storage")
    if wants_json(asked.as_json):
        print_json(answer)
        return
    print_table(COLUMNS, [_row(each) for each in (*answer["months"], *answer["weeks"])])
    kinds = ", ".join(f"{name} {size(each)}" for name, each in answer["bytes"].items())
    print(f"\n{size(answer['total_bytes'])}: {kinds}; {size(answer['growth_bytes_per_day'])} more a day")
    if answer["limit_bytes"] is not None:
        reached = answer["limit_reached_at"]
        when = "" if reached is None else f", reached on {reached[:10]}: then the oldest weeks of content go"
        print(f"limit {size(answer['limit_bytes'])}{when}")


def _row(period: Mapping[str, Any]) -> list[object]:
    sizes = [period["bytes"].get(name) for name in KINDS]
    shown = [None if each is None else size(each) for each in sizes]
    return [period["from"], period["before"], period["estimated_exchanges"], *shown]


def size(count: float) -> str:
    """Bytes for people: `1.2 GB`, of 10^9."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.1f} {_UNITS[unit]}" if unit else f"{count} B"
