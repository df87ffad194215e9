"""Which exchanges are wanted: one Filter for lists, searches, exports, tails and stats; pure."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from app.store.database.periods import lowest_id
from app.store.filters.conditions import Condition
from app.store.filters.facts import Fact

LOWEST_ID = uuid.UUID(int=0)
HIGHEST_ID = uuid.UUID(int=(1 << 128) - 1)
LARGEST = (1 << 63) - 1

Order = Literal["desc", "asc"]

_INDEXED = ("model", "user", "key", "upstream_id", "conversation")
_EQUAL = ("model", "path", "method", "user", "key", "upstream", "upstream_id", "finish_reason", "stream")
_COUNTS = ("input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that all hold; None asks for nothing. `since` is included, `until` is not, `min_…` and `max_…` are.

    Exchanges of which a value is unknown are neither above nor below it.
    """

    model: str | None = None
    path: str | None = None
    status: int | tuple[int, ...] | None = None
    """One, or several of which it must be one."""
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
    """What was said (search/terms.py)."""
    finish_reason: str | None = None
    stream: bool | None = None
    tags: tuple[tuple[str, str | None], ...] = field(default=())
    """Names and values; None for a tag that says anything."""
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    min_ttft_ms: float | None = None
    max_ttft_ms: float | None = None
    min_input_tokens: int | None = None
    max_input_tokens: int | None = None
    min_output_tokens: int | None = None
    max_output_tokens: int | None = None
    min_cost: decimal.Decimal | None = None
    max_cost: decimal.Decimal | None = None
    facts: tuple[Fact, ...] = field(default=())

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
        return all(0 <= each < 1 << 15 for each in self.statuses()) and all(map(_is_text, self._texts()))

    def statuses(self) -> tuple[int, ...]:
        """The statuses of which one is wanted; none where any is."""
        if self.status is None:
            return ()
        return (self.status,) if isinstance(self.status, int) else self.status

    def has_index(self) -> bool:
        """Whether a condition leads to few exchanges by an index."""
        return any(getattr(self, name) is not None for name in _INDEXED)

    def is_simple(self) -> bool:
        """Whether a page takes no longer than an index does: nothing is asked for, or one thing that has an index."""
        asked = self.asked() - {"project", "since", "until"}
        return not asked or "upstream_id" in asked or (len(asked) == 1 and asked <= set(_INDEXED))

    def asked(self) -> set[str]:
        """Names of the fields that ask for something."""
        return {each.name for each in fields(self) if getattr(self, each.name) not in (None, ())}

    def conditions(self, project_id: int | None) -> list[Condition]:
        """All but the bounds and `q`, for statements that call the row `e`; project_id None takes every project."""
        found = [Condition("project", (project_id,))] if project_id is not None else []
        found += [
            Condition(name, (getattr(self, name),)) for name in _EQUAL if getattr(self, name) is not None
        ]
        found += self._of_status()
        found += self._of_conversation(project_id)
        found += self._of_tags()
        found += self._of_ranges()
        bounds = self.bounds(None, "desc")
        for each in self.facts:
            found.append(Condition("fact" if each.must_hold else "lacks_fact", (*bounds, each.predicate)))
        return found

    def few_by(self, project_id: int | None) -> tuple[str, list[Condition]] | None:
        """What an inverted index knows of the exchanges that are wanted: `facts` or `tags`, and its conditions.

        The planner cannot know how rare a fact or a tag is.
        """
        found = [Condition("project", (project_id,))] if project_id is not None else []
        indexed = [Condition("has_fact", (each.predicate,)) for each in self.facts if each.is_indexed]
        if indexed:
            return "few_facts", found + indexed
        tags = [each for each in self._of_tags() if each.name == "tags"]
        return ("few_tags", found + tags) if tags else None

    def _of_status(self) -> Iterator[Condition]:
        if self.status is not None:
            statuses = self.statuses()
            if len(statuses) == 1 and statuses[0] != 200:
                yield Condition("other_status", statuses)
            else:
                yield Condition("status" if 200 in statuses else "other_statuses", (list(statuses),))
        if self.outcome is not None:
            yield Condition("outcome" if self.outcome == "completed" else "other_outcome", (self.outcome,))

    def _of_conversation(self, project_id: int | None) -> Iterator[Condition]:
        """By its name, and by its id where it looks like one: a name may look so, too."""
        if self.conversation is None:
            return
        try:
            own_id = uuid.UUID(self.conversation)
        except ValueError:
            own_id = None
        if project_id is None:
            yield Condition("conversation", (self.conversation, own_id))
        else:
            yield Condition("conversation_of_project", (self.conversation, own_id, project_id))

    def _of_tags(self) -> Iterator[Condition]:
        said = {name: value for name, value in self.tags if value is not None}
        if said:
            yield Condition("tags", (json.dumps(said),))
        if names := [name for name, value in self.tags if value is None]:
            yield Condition("tag_names", (names,))

    def _of_ranges(self) -> Iterator[Condition]:
        for edge in ("min", "max"):
            for name in ("duration", "ttft"):
                milliseconds = getattr(self, f"{edge}_{name}_ms")
                if milliseconds is not None:
                    microseconds = min(max(round(milliseconds * 1000), -LARGEST), LARGEST)
                    yield Condition(f"{edge}_{name}_us", (microseconds,))
            for name in _COUNTS:
                count = getattr(self, f"{edge}_{name}")
                if count is not None:
                    yield Condition(f"{edge}_{name}", (min(max(count, -LARGEST), LARGEST),))
            if (cost := getattr(self, f"{edge}_cost")) is not None:
                yield Condition(f"{edge}_cost", (cost,))

    def _texts(self) -> Iterator[str]:
        for each in fields(self):
            value: Any = getattr(self, each.name)
            if isinstance(value, str):
                yield value
        for name, said in self.tags:
            yield name
            yield said or ""
        # NUL and lone surrogates stand in a predicate as escapes.
        for fact in self.facts:
            yield fact.predicate.replace("\\u0000", "\0").encode("ascii").decode("unicode_escape", "replace")


def _is_text(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)
