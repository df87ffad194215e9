"""`verbatim stats`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.cli.asking import Asked
from app.cli.output import Shown, clock_time, cost, print_json, print_table, say, wants_json

GROUPS = "hour, day, model, user, key, project, status, status_code, outcome, endpoint, tag.NAME"
TIMES = ("hour", "day")
COLUMNS = (
    *("exchanges", "errors", "input", "cached", "output", "cost"),
    *("s p50", "s p95", "s p99", "ttft p50", "ttft p95"),
)

GroupBy = Annotated[
    str, typer.Option("--by", metavar="GROUP[,GROUP]", help=f"None (''), one or two of: {GROUPS}.")
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many groups.")]
NoPercentiles = Annotated[
    bool, typer.Option("--no-percentiles", help="Leave out percentiles, which is faster.")
]


def stats(
    asked: Asked, group_by: GroupBy = "day", limit: Limit = 1_000, no_percentiles: NoPercentiles = False
) -> None:
    """Sum up exchanges: how many, errors, tokens, cost, durations in seconds."""
    parameters = [("group_by", group_by), ("limit", str(limit)), *asked.filters]
    parameters += [("percentiles", "false")] if no_percentiles else []
    answer = asked.api.get("/api/stats", parameters)
    if wants_json(asked.as_json):
        for each in answer["data"]:
            print_json(each)
    else:
        print_groups(answer["data"], [name for name in group_by.split(",") if name])
    if answer["incomplete"]:
        say(f"incomplete: what began before {answer['since']} is not in it; --since asks for less")
    if answer["has_more"]:
        say(f"the first {limit} groups; --limit shows more")


def print_groups(groups: list[Mapping[str, Any]], names: list[str]) -> None:
    """A table."""
    columns = [*(Shown(name) for name in names), *(Shown(name, "right") for name in COLUMNS)]
    print_table(
        columns, [[*(_named(each["group"][name], name) for name in names), *_row(each)] for each in groups]
    )
    if unpriced := sum(each["unpriced"] for each in groups):
        say(f"the cost of {unpriced} exchanges is unknown and not in it")


def _named(value: str | None, name: str) -> str:
    if value is None:
        return "-"
    return clock_time(value) if name in TIMES else value


def _row(group: Mapping[str, Any]) -> list[object]:
    return [
        *(group[name] for name in ("exchanges", "errors", "input_tokens", "cached_tokens", "output_tokens")),
        cost(group["cost"]),
        *(_seconds(group["duration_ms"], name) for name in ("p50", "p95", "p99")),
        *(_seconds(group["ttft_ms"], name) for name in ("p50", "p95")),
    ]


def _seconds(percentiles: Mapping[str, float | None] | None, name: str) -> str | None:
    value = None if percentiles is None else percentiles[name]
    return None if value is None else f"{value / 1000:.2f}"
