"""Which exchanges are wanted: one Filter for lists, exports and tails; pure."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from app.store.periods import lowest_id

LOWEST_ID = uuid.UUID(int=0)
HIGHEST_ID = uuid.UUID(int=(1 << 128) - 1)

Order = Literal["desc", "asc"]


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that all hold; None asks for nothing. `since` is included, `until` is not."""

    model: str | None = None
    path: str | None = None
    status: int | None = None
    outcome: str | None = None
    user: str | None = None
    key: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    project: str | None = None
    upstream_id: str | None = None
    upstream: str | None = None
    method: str | None = None
    conversation: str | None = None
    """Its id, or its name."""
    q: str | None = None
    """What was said (search/terms.py); lists and tails take it."""

    def bounds(self, after: uuid.UUID | None, order: Order) -> tuple[uuid.UUID, uuid.UUID]:
        """The first id that is wanted and the first that no longer is, for the page that follows `after`."""
        low = lowest_id(self.since) if self.since else LOWEST_ID
        high = lowest_id(self.until) if self.until else HIGHEST_ID
        if after is not None and order == "desc":
            high = min(high, after)
        elif after is not None:
            low = max(low, uuid.UUID(int=min(after.int + 1, HIGHEST_ID.int)))
        return low, high

    def can_match(self) -> bool:
        """False where a value is one that no row can have, which PostgreSQL would refuse."""
        return (self.status is None or 0 <= self.status < 1 << 15) and all(map(_is_text, self._texts()))

    def has_index(self) -> bool:
        """Whether a condition leads to few exchanges by an index."""
        return any((self.model, self.user, self.key, self.upstream_id, self.conversation))

    def parameters(self, project_id: int | None) -> tuple[Any, ...]:
        """The values of query.sql's conditions, in their order."""
        return (
            *(project_id, self.model, self.path, self.status, self.outcome, self.user, self.key),
            *(self.upstream_id, self.upstream, self.method, *self._conversation()),
        )

    def _conversation(self) -> tuple[str | None, uuid.UUID | None]:
        """The name of a conversation, and its id where it looks like one: a name may look so, too."""
        try:
            return self.conversation, uuid.UUID(self.conversation or "")
        except ValueError:
            return self.conversation, None

    def _texts(self) -> list[str]:
        values = [self.project, *self.parameters(None)]
        return [each for each in values if isinstance(each, str)]


def _is_text(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)
