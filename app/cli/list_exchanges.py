"""`verbatim list` and `verbatim search`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.cli.asking import Asked
from app.cli.filters import Pairs
from app.cli.output import (
    Shown,
    clock_time,
    cost,
    ended,
    print_json,
    print_table,
    say,
    say_that_it_goes_on,
    tokens,
    wants_json,
)

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
Order = Annotated[
    str | None,
    typer.Option(
        metavar="desc|asc", help="desc: newest first, or the most; asc: oldest first, or the least."
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(metavar="VALUE", help="By started_at, duration_ms, total_tokens or cost."),
]
Count = Annotated[bool, typer.Option("--count", help="Only how many there are, up to 10,000.")]


def list_exchanges(
    asked: Asked, limit: Limit = 20, sort: Sort = None, order: Order = None, count: Count = False
) -> None:
    """List exchanges, newest first: a table on a terminal, JSON lines in a pipe."""
    parameters = [*asked.filters, *_given(sort=sort, order=order)]
    if count:
        print_count(asked, parameters)
    else:
        show_list(asked, parameters, limit)


def search(
    asked: Asked,
    words: Annotated[str, typer.Argument(help='What to look for; "a phrase" in quotes, -word for not.')],
    limit: Limit = 20,
    sort: Sort = None,
    order: Order = None,
    count: Count = False,
) -> None:
    """Search everything that was said, in either direction and any script; `search rebuild` makes the search anew."""
    parameters = [("q", words), *asked.filters, *_given(sort=sort, order=order)]
    if count:
        print_count(asked, parameters)
    else:
        show_list(asked, parameters, limit)


def _given(**values: str | None) -> Pairs:
    return [(name, value) for name, value in values.items() if value is not None]


def show_list(asked: Asked, parameters: Pairs, limit: int) -> None:
    """Prints exchanges."""
    found = asked.api.items(EXCHANGES, parameters, limit, say_that_it_goes_on)
    if wants_json(asked.as_json):
        for each in found:
            print_json(each)
        return
    rows = [row(each) for each in found]
    print_table(COLUMNS, rows)
    if len(rows) == limit:
        say(f"the first {limit}; --limit shows more")


def print_count(asked: Asked, parameters: Pairs) -> None:
    """Prints how many exchanges there are."""
    page = asked.api.get(EXCHANGES, [*parameters, ("limit", "1"), ("count", "true")])
    if asked.as_json:
        print_json({name: page[name] for name in ("total", "total_is_capped")})
    elif page["total"] is None:
        say("counting takes too long; --since asks for less")
        raise typer.Exit(1)
    else:
        print(f"{page['total']}+" if page["total_is_capped"] else page["total"])


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
