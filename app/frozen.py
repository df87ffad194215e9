"""Values that cannot be changed, at the price of values that can.

`dataclass(frozen=True)` sets every field by a call of `object.__setattr__`: five to ten times the time of plain
assignments, and the recorder makes some fifty values for each exchange. Here mypy is told that they are frozen, and
nothing watches at run time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A slotted dataclass that compares and hashes by its fields; whoever changes one fails the type check."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
