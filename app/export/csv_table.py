"""CSV (RFC 4180) that is safe to open in a spreadsheet.

A text that a spreadsheet would take for a formula gets an apostrophe before it, and every text stands in quotes, so
that no other separator (Excel's semicolon) opens a new cell in the middle of one.
"""

from __future__ import annotations

from typing import Any

from app.export.columns import columns, row
from app.export.values import Exported, Writer

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class CsvWriter(Writer):
    """A line of names, then a row an exchange."""

    def __init__(self, *, with_messages: bool, with_header: bool) -> None:
        self._columns = columns(with_messages=with_messages)
        self._with_messages = with_messages
        self._with_header = with_header

    def begin(self) -> bytes:
        """The names; nothing where the file goes on one that has them."""
        return _line([column.name for column in self._columns]) if self._with_header else b""

    def add(self, exported: Exported) -> bytes:
        """One row."""
        values = row(exported, with_messages=self._with_messages)
        return _line([values.get(column.name) for column in self._columns])

    def end(self) -> bytes:
        """Nothing."""
        return b""


def cell(value: Any) -> str:
    """One value as it stands in a line; what is not known is empty, and an empty text is `""`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    if text.lstrip(" ").startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"'


def _line(values: list[Any]) -> bytes:
    return (",".join(map(cell, values)) + "\r\n").encode("utf-8", "replace")
