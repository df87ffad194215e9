"""`verbatim show`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from app.cli.asking import Asked
from app.cli.curl import curl_command
from app.cli.list_exchanges import EXCHANGES
from app.cli.output import STYLES, print_bytes, print_json, say, terminal
from app.errors import ConfigError, ConsoleRefusedError
from app.export.plain_text import plain

LAST = "last"

ExchangeId = Annotated[str, typer.Argument(metavar="ID", help="Id of an exchange, or `last`.")]
Raw = Annotated[
    str | None,
    typer.Option(metavar="request|response", help="The exact bytes of one body instead."),
]
Curl = Annotated[bool, typer.Option("--curl", help="A command that sends it again, with $OPENAI_API_KEY.")]


def show(asked: Asked, exchange_id: ExchangeId, raw: Raw = None, curl: Curl = False) -> None:
    """Show one exchange: what was said, and how it went."""
    if raw not in (None, "request", "response"):
        raise ConfigError(f"--raw {raw}: takes request or response")
    exchange_id = _resolved(asked, exchange_id)
    if raw is not None:
        _print_raw(asked, exchange_id, "request" if raw == "request" else "response")
        return
    record = asked.api.get(_path(exchange_id))
    if curl:
        print(curl_command(record, _body(asked, record)))
    elif asked.as_json:
        print_json(record)
    else:
        print_transcript(record)


def _resolved(asked: Asked, exchange_id: str) -> str:
    if exchange_id != LAST:
        return exchange_id
    newest = list(asked.api.items(EXCHANGES, (), 1))
    if not newest:
        raise ConsoleRefusedError("nothing is recorded yet", 404, "not_found")
    return str(newest[0]["id"])


def _path(exchange_id: str, side: str = "") -> str:
    return f"{EXCHANGES}/{quote(exchange_id, safe='')}{side}"


def _print_raw(asked: Asked, exchange_id: str, side: Literal["request", "response"]) -> None:
    with asked.api.stream(_path(exchange_id, f"/{side}")) as answer:
        if not sys.stdout.isatty():
            for piece in answer.iter_raw():
                print_bytes(piece)
            return
        text = answer.read().decode("utf-8", "replace")
    print(plain(text))
    say("control characters are shown; in a pipe or a file the bytes are exact")


def _body(asked: Asked, record: Mapping[str, Any]) -> bytes:
    try:
        with asked.api.stream(_path(record["id"], "/request")) as answer:
            return answer.read()
    except ConsoleRefusedError as error:
        if error.code != "not_kept":
            raise
        say("its body is not kept; the command sends none")
        return b""


def print_transcript(record: dict[str, Any]) -> None:
    """A transcript with colours where there are some."""
    from rich.text import Text

    from app.export.transcript import text_lines
    from app.export.values import Exported

    console = terminal()
    messages = record.pop("messages")
    for line in text_lines(Exported(record, messages)):
        style = ""
        if line.startswith("["):
            style = "bold green" if "answered" in line else "bold cyan"
        elif line.startswith(record["started_at"]):
            style = f"bold {STYLES.get(record['outcome'], '')}".strip()
        elif line and not line.startswith(" "):
            style = "dim"
        console.print(Text(line, style=style), soft_wrap=True)
