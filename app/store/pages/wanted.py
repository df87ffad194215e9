"""What a page asks for, and what it gets."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from app.store.filters.filter import Filter, Order

if TYPE_CHECKING:
    import asyncpg

Sort = Literal["started_at", "duration_ms", "total_tokens", "cost"]
COLUMNS: dict[Sort, str] = {"duration_ms": "duration_us", "total_tokens": "total_tokens", "cost": "cost"}
"""What is sorted by, but for the time, which is in the id."""

Place = tuple[Any, uuid.UUID | None]
"""The value that is sorted by, and the id."""
NOWHERE: Place = (None, None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page: which exchanges of which projects, from id `low` to before `high`, in which order, behind what."""

    filter: Filter
    project_ids: Sequence[int]
    low: uuid.UUID
    high: uuid.UUID
    limit: int
    order: Order = "desc"
    sort: Sort = "started_at"
    after: Place = NOWHERE
    """Where it begins, in an order that is not that of time."""

    @property
    def project_id(self) -> int | None:
        """The one project, where there is one only: that leads to better plans."""
        return self.project_ids[0] if len(self.project_ids) == 1 else None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in order."""

    rows: list[asyncpg.Record]
    has_more: bool
    resume_after: uuid.UUID | None = None
    """The budget was used up: the next page follows this id, and all before was looked at."""
