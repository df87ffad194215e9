"""`verbatim conversations`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from app.cli.asking import Asked
from app.cli.conversation_tree import print_tree
from app.cli.list_exchanges import Order
from app.cli.output import (
    Shown,
    clock_time,
    cost,
    print_json,
    print_table,
    say,
    say_that_it_goes_on,
    wants_json,
)
from app.errors import ConfigError

CONVERSATIONS = "/api/conversations"
ConversationId = Annotated[str | None, typer.Argument(metavar="[ID]", help="One conversation, to be shown.")]
Messages = Annotated[bool, typer.Option("--messages", help="Of one: whole messages, not only beginnings.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most so many (20); of one: so many exchanges (200).")
]
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


def conversations(
    asked: Asked,
    conversation_id: ConversationId = None,
    messages: Messages = False,
    limit: Limit = None,
    order: Order = None,
) -> None:
    """List conversations of which an exchange passes the filters, newest first; or show one as a tree, by its id."""
    if conversation_id is not None:
        _show_one(asked, conversation_id, limit, with_messages=messages)
    else:
        _list(asked, limit or 20, order)


def _show_one(asked: Asked, conversation_id: str, limit: int | None, *, with_messages: bool) -> None:
    if asked.filters:
        raise ConfigError(f"conversations {conversation_id}: one conversation takes no filters")
    parameters = [("messages", "true")] if with_messages else []
    parameters += [("limit", str(limit))] if limit is not None else []
    found = asked.api.get(f"{CONVERSATIONS}/{quote(conversation_id, safe='')}", parameters)
    if wants_json(asked.as_json):
        print_json(found)
    else:
        print_tree(found)


def _list(asked: Asked, limit: int, order: str | None) -> None:
    parameters = [*asked.filters, *([("order", order)] if order is not None else [])]
    found = asked.api.items(CONVERSATIONS, parameters, limit, say_that_it_goes_on)
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
