"""`verbatim stats`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.cli.asking import Asked
from app.cli.output import Shown, print_json, print_table, wants_json

GROUPS = "hour, day, model, user, key, project, tag, status, outcome, endpoint"


def stats(
    asked: Asked,
    group_by: Annotated[
        str, typer.Option("--by", metavar="GROUP[,GROUP]", help=f"One or two of: {GROUPS}.")
    ] = "day",
) -> None:
    """Sum up exchanges: how many, tokens, cost, errors, durations."""
    answer = asked.api.get("/api/stats", [("group_by", group_by), *asked.filters])
    if wants_json(asked.as_json):
        for each in answer["data"]:
            print_json(each)
        return
    flat = [flattened(each) for each in answer["data"]]
    names = list(dict.fromkeys(name for each in flat for name in each if name != "object"))
    rows = [[each.get(name) for name in names] for each in flat]
    print_table([Shown(name, _justify(name, flat)) for name in names], rows)


def flattened(group: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A group's values by name; those of objects inside it behind the object's name."""
    found: dict[str, Any] = {}
    for name, value in group.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = round(value, 3) if isinstance(value, float) else value
    return found


def _justify(name: str, groups: list[dict[str, Any]]) -> Any:
    return "right" if any(isinstance(each.get(name), int | float) for each in groups) else "left"
