"""What a writer takes, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Exported:
    """One exchange to be written."""

    record: Mapping[str, Any]
    """As the REST API gives one exchange, without its `messages`."""
    messages: list[dict[str, Any]] | None = None
    """What was said; None where it is not kept, cannot be read or was not asked for."""
    request_fields: Mapping[str, Any] = field(default_factory=dict)
    """The request's JSON without what was said; empty unless the format asks for it."""


class Writer(Protocol):
    """Makes the bytes of one file, exchange by exchange; it holds no more than a bounded part of them."""

    def begin(self) -> bytes:
        """What stands before the first exchange."""

    def add(self, exported: Exported) -> bytes:
        """The bytes of one exchange; empty where it is left out, or comes with a later one."""

    def end(self) -> bytes:
        """What stands after the last exchange."""

    def close(self) -> None:
        """Lets go of what it holds: after the end, or when nobody wants the rest."""
        return
