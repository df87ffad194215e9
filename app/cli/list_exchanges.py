"""`verbatim list` and `verbatim search`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.cli.asking import Asked, Pairs
from app.cli.output import Shown, clock_time, cost, ended, print_json, print_table, say, tokens, wants_json

EXCHANGES = "/api/exchanges"
COLUMNS = (
    Shown("begun (UTC)"),
    Shown("id"),
    Shown("model"),
    Shown("status"),
    Shown("s", "right"),
    Shown("tokens", "right"),
    Shown("cost", "right"),
    Shown("what was said", is_long=True),
)

Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
Oldest = Annotated[bool, typer.Option("--oldest", help="Oldest first; newest first else.")]


def list_exchanges(asked: Asked, limit: Limit = 20, oldest: Oldest = False) -> None:
    """List exchanges, newest first: a table on a terminal, JSON lines in a pipe."""
    show_list(asked, asked.filters, limit, oldest=oldest)


def search(
    asked: Asked,
    words: Annotated[str, typer.Argument(help='What to look for; "a phrase" in quotes, -word for not.')],
    limit: Limit = 20,
    oldest: Oldest = False,
) -> None:
    """Search everything that was said, in either direction and any script; `search rebuild` makes the search anew."""
    show_list(asked, [("q", words), *asked.filters], limit, oldest=oldest)


def show_list(asked: Asked, filters: Pairs, limit: int, *, oldest: bool) -> None:
    """Prints exchanges."""
    found = asked.api.items(EXCHANGES, [*filters, ("order", "asc" if oldest else "desc")], limit)
    if wants_json(asked.as_json):
        for each in found:
            print_json(each)
        return
    rows = [row(each) for each in found]
    print_table(COLUMNS, rows)
    if len(rows) == limit:
        say(f"the first {limit}; --limit shows more")


def row(exchange: Mapping[str, Any]) -> tuple[object, ...]:
    """The cells of one exchange."""
    return (
        (clock_time(exchange["started_at"]), "dim"),
        (exchange["id"], "cyan"),
        exchange["model"] or exchange["path"],
        ended(exchange),
        f"{exchange['duration_ms'] / 1000:.1f}",
        tokens(exchange),
        cost(exchange["cost"]),
        preview(exchange),
    )


def preview(exchange: Mapping[str, Any]) -> str:
    """Where the words were found, else the beginnings of both sides."""
    if snippets := exchange.get("snippets"):
        return " … ".join(" ".join(str(each["text"]).split()) for each in snippets)
    return " → ".join(
        text for text in (exchange["request_preview"], exchange["response_preview"]) if text is not None
    )
