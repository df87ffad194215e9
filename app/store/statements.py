"""Loads named statements from app/store/sql: a line `-- name: what it does.` and the text under it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_HEADING = re.compile(r"^-- ([a-z_]+): (.+)$")


class Statements(Mapping[str, str]):
    """The statements of one file by name."""

    def __init__(self, text: str, source: str) -> None:
        self._texts: dict[str, str] = {}
        self._source = source
        name: str | None = None
        for line in text.splitlines():
            if heading := _HEADING.match(line):
                name = heading[1]
                if name in self._texts:
                    raise ValueError(f"{source}: two statements are named {name}")
                self._texts[name] = ""
            elif name is not None:
                self._texts[name] += line + "\n"
            elif line.strip():
                raise ValueError(f"{source}: a statement without `-- name: what it does.` before it: {line}")
        for name, statement in self._texts.items():
            if not statement.strip():
                raise ValueError(f"{source}: {name} is empty")

    def __getitem__(self, name: str) -> str:
        return self._texts[name].strip()

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return f"Statements({self._source}: {', '.join(self._texts)})"


@functools.cache
def statements(noun: str) -> Statements:
    """The statements of app/store/sql/NOUN.sql."""
    path = Path(__file__).parent / "sql" / f"{noun}.sql"
    return Statements(path.read_text(), path.name)
