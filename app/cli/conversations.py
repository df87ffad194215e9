"""`verbatim conversations`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.cli.asking import Asked
from app.cli.list_exchanges import Limit, Order
from app.cli.output import Shown, clock_time, cost, print_json, print_table, say, wants_json

CONVERSATIONS = "/api/conversations"
COLUMNS = (
    Shown("begun (UTC)"),
    Shown("last (UTC)"),
    Shown("id"),
    Shown("turns", "right"),
    Shown("models"),
    Shown("user"),
    Shown("tokens", "right"),
    Shown("cost", "right"),
    Shown("how it began", is_long=True),
)


def conversations(asked: Asked, limit: Limit = 20, order: Order = None) -> None:
    """List conversations of which an exchange passes the filters, newest first."""
    parameters = [*asked.filters, *([("order", order)] if order is not None else [])]
    found = asked.api.items(CONVERSATIONS, parameters, limit)
    if wants_json(asked.as_json):
        for each in found:
            print_json(each)
        return
    rows = [row(each) for each in found]
    print_table(COLUMNS, rows)
    if len(rows) == limit:
        say(f"the first {limit}; --limit shows more")


def row(conversation: Mapping[str, Any]) -> tuple[object, ...]:
    """The cells of one conversation."""
    given, made = conversation["input_tokens"], conversation["output_tokens"]
    begun, last = conversation["started_at"], conversation["last_at"]
    return (
        (clock_time(begun) if begun else None, "dim"),
        (clock_time(last) if last else None, "dim"),
        (conversation["id"], "cyan"),
        conversation["exchanges"],
        ", ".join(conversation["models"] or [conversation["model"] or ""]),
        conversation["user"],
        None if given is None and made is None else f"{given or 0}+{made or 0}",
        cost(conversation["cost"]),
        conversation["name"] or conversation["title"],
    )
