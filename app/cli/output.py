"""What verbs print: tables for people, JSON lines for programs; nothing logged steers the terminal."""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from app.export.plain_text import plain, plain_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

STYLES = {
    "completed": "green",
    "client_left": "yellow",
    "upstream_failed": "red",
    "upstream_timed_out": "red",
    "refused": "magenta",
    "proxy_failed": "bold red",
    "proxy_stopped": "yellow",
    "proxy_crashed": "bold red",
}
"""How an outcome is shown."""
_FIRST_ERROR_STATUS = 400
LEAST_LONG = 20
"""Columns of a terminal that something long has, however little room there is."""
MOST_SHORT = 60
"""Those that anything else has."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A column of a table."""

    title: str
    justify: Literal["left", "right"] = "left"
    is_long: bool = False
    """It gets what room is left, and is cut there."""


def wants_json(as_json: bool | None) -> bool:
    """What was asked for, else JSON where the output is no terminal."""
    return not sys.stdout.isatty() if as_json is None else as_json


def print_json(value: object) -> None:
    """One line of JSON; pure ASCII on a terminal, which no logged character then reaches."""
    text = json.dumps(value, ensure_ascii=sys.stdout.isatty(), separators=(",", ":"))
    print_bytes(text.encode("utf-8", "replace") + b"\n")


def print_bytes(data: bytes) -> None:
    """Bytes as they are, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


class TerminalFile(io.RawIOBase):
    """The terminal as a file for text: what would steer it is shown instead."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Shows UTF-8."""
        sys.stdout.write(plain(self._decoder.decode(bytes(data))))
        sys.stdout.flush()
        return len(data)


def terminal(least_width: int = 0) -> Console:
    """Standard output for people, as wide as this at least: a narrower terminal wraps lines, and ids stay whole."""
    from rich.console import Console

    shown = Console(highlight=False, emoji=False, markup=False)
    shown.width = max(shown.width, least_width)
    return shown


def print_table(columns: Sequence[Shown], rows: Iterable[Sequence[object]]) -> None:
    """A table; a cell is a value, or (value, style). What is long gives way to all else."""
    from rich.table import Table
    from rich.text import Text

    lines = [[_cell(cell) for cell in row] for row in rows]
    widths = [
        max([Text(column.title).cell_len, *(min(line[at].cell_len, MOST_SHORT) for line in lines)])
        for at, column in enumerate(columns)
    ]
    fixed = sum(width for width, column in zip(widths, columns, strict=True) if not column.is_long)
    gaps = 2 * (len(columns) - 1)
    console = terminal(fixed + gaps + LEAST_LONG)
    left = console.width - fixed - gaps
    table = Table(box=None, pad_edge=False, header_style="bold")
    for width, column in zip(widths, columns, strict=True):
        table.add_column(
            column.title,
            justify=column.justify,
            no_wrap=True,
            overflow="ellipsis",
            width=left if column.is_long else width,
        )
    for line in lines:
        table.add_row(*line)
    console.print(table)


def _cell(cell: object) -> Text:
    from rich.text import Text

    value, style = cell if isinstance(cell, tuple) else (cell, "")
    return Text("" if value is None else plain_line(str(value)), style=style)


def say_that_it_goes_on() -> None:
    """Where a person waits for a list whose pages are incomplete."""
    if sys.stderr.isatty():
        say("still looking; Ctrl-C ends it, --since asks for less")


def say(line: str) -> None:
    """One line for people, beside the output."""
    print(plain_line(line), file=sys.stderr)


def clock_time(started_at: str) -> str:
    """2026-11-22T10:00:00.000000Z as `11-22 10:00:00` (UTC)."""
    return started_at[5:19].replace("T", " ")


def tokens(exchange: Mapping[str, Any]) -> str | None:
    """Input and output tokens, `11+3`."""
    usage = exchange.get("usage")
    if not usage:
        return None
    given, made = usage.get("input_tokens"), usage.get("output_tokens")
    return f"{'?' if given is None else given}+{'?' if made is None else made}"


def cost(dollars: str | None) -> str | None:
    """US dollars, six places at most."""
    return None if dollars is None else f"${float(dollars):.6f}".rstrip("0").rstrip(".")


def ended(exchange: Mapping[str, Any]) -> tuple[str, str]:
    """How an exchange ended, and its style: the status where it completed."""
    status, outcome = exchange.get("status"), exchange["outcome"]
    if outcome == "completed":
        is_error = status is not None and status >= _FIRST_ERROR_STATUS
        return str(status or outcome), "red" if is_error else STYLES[outcome]
    return f"{status or ''} {outcome}".strip(), STYLES.get(outcome, "")
