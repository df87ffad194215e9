"""`verbatim conversations`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.asking import Asked
from app.cli.list_exchanges import Limit
from app.cli.output import Shown, clock_time, print_json, print_table, wants_json

COLUMNS = (
    Shown("begun (UTC)"),
    Shown("id"),
    Shown("turns", "right"),
    Shown("model"),
    Shown("user"),
    Shown("how it began", is_long=True),
)


def conversations(
    asked: Asked,
    limit: Limit = 20,
    project: Annotated[str | None, typer.Option(help="Of one project.")] = None,
) -> None:
    """List conversations, newest first; `verbatim list --conversation ID` has the turns of one."""
    parameters = [("project", project)] if project is not None else []
    found = asked.api.items("/api/conversations", parameters, limit)
    if wants_json(asked.as_json):
        for each in found:
            print_json(each)
        return
    rows = [
        (
            (clock_time(each["started_at"]) if each["started_at"] else None, "dim"),
            (each["id"], "cyan"),
            each["exchanges"],
            each["model"],
            each["user"],
            each["name"] or each["title"],
        )
        for each in found
    ]
    print_table(COLUMNS, rows)
