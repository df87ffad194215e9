"""Conditions of statements: fragments of filter.sql with their values, put where a statement says `/* and wanted */`.

What a client sent is a bound parameter, always; the fragments' names are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.store.statements import statements

PLACE = "/* and wanted */"

_PARAMETER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Condition:
    """A fragment of filter.sql by its name, with the values of its parameters."""

    name: str
    values: tuple[Any, ...]


def composed(statement: str, fixed: Sequence[Any], conditions: Sequence[Condition]) -> list[Any]:
    """The statement with these conditions, then all its parameters: as `connection.fetch(*composed(…))` takes it."""
    fragments = statements("filter")
    texts, parameters = [], list(fixed)
    for condition in conditions:
        texts.append(f"AND {_shifted(fragments[condition.name], len(parameters))}")
        parameters += condition.values
    return [statement.replace(PLACE, "\n    ".join(texts)), *parameters]


def _shifted(fragment: str, by: int) -> str:
    """A fragment whose parameters begin behind others."""
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + by}", fragment)
