"""`verbatim tail`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from app.cli.asking import Asked
from app.cli.filters import Pairs
from app.cli.list_exchanges import preview
from app.cli.output import clock_time, cost, ended, print_json, say, terminal, tokens, wants_json
from app.errors import ConsoleUnreachableError
from app.export.plain_text import plain_line

RETRY_SECONDS = 1.0


def tail(
    asked: Asked,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
) -> None:
    """Follow exchanges as they end; Ctrl-C ends it. A console that goes away and comes back loses none."""
    as_json = wants_json(asked.as_json)
    try:
        for number, exchange in enumerate(follow(asked, asked.filters), 1):
            if as_json:
                print_json(exchange)
            else:
                print_line(exchange)
            if number == limit:
                return
    except KeyboardInterrupt:
        return


def follow(asked: Asked, filters: Pairs) -> Iterator[dict[str, Any]]:
    """Exchanges as they end; goes on behind the last one where the stream is cut. Raises ConsoleError at first."""
    last_id: str | None = None
    while True:
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        try:
            with asked.api.stream("/api/tail", filters, headers) as answer:
                for field, value in _fields(answer.iter_lines()):
                    if field == "id":
                        last_id = value
                    elif field == "data":
                        yield json.loads(value)
        except ConsoleUnreachableError as error:
            if last_id is None:
                raise
            say(f"{error}; it is tried again")
        time.sleep(RETRY_SECONDS)


def print_line(exchange: dict[str, Any]) -> None:
    """One exchange on one line."""
    from rich.text import Text

    how, style = ended(exchange)
    parts = [
        (clock_time(exchange["started_at"]), "dim"),
        (exchange["id"], "cyan"),
        (how, style),
        (exchange["model"] or exchange["path"], "bold"),
        (f"{exchange['duration_ms'] / 1000:.1f}s", ""),
        (tokens(exchange), ""),
        (cost(exchange["cost"]), ""),
        (preview(exchange), "dim"),
    ]
    shown = [Text(plain_line(str(text)), style=style) for text, style in parts if text]
    terminal().print(Text("  ").join(shown), overflow="ellipsis", no_wrap=True)


def _fields(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """The fields of server-sent events, the id of an event after its data: only then it has been seen."""
    pending: str | None = None
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            pending = value
        elif name == "data":
            yield name, value
        elif not line and pending is not None:
            yield "id", pending
            pending = None
