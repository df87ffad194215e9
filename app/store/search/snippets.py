"""Where in an exchange the words were said, with a little of what stands around them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.store.database.periods import week_of_id
from app.store.search.folding import MESSAGE_END, unfold
from app.store.search.terms import Terms
from app.store.statements import statements

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

AROUND = 60
"""Characters before a word and after it."""
MOST = 3
"""Snippets of one exchange."""
MOST_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a message; offsets count its characters, ends excluded."""

    message: int
    """Which of the exchange's messages; one more than there are is the error that it ended with."""
    text: str
    highlights: list[tuple[int, int]]
    begins: bool
    """The message begins here."""
    ends: bool
    """It ends here."""


async def read_snippets(
    connection: Connection, project_id: int, terms: Terms, ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[Snippet]]:
    """Up to MOST pieces of each exchange, in the order of its messages."""
    if not ids:
        return {}
    weeks = (week_of_id(min(ids).bytes), week_of_id(max(ids).bytes))
    rows = await connection.fetch(
        statements("search")["snippets"], project_id, list(ids), *weeks, list(terms.wanted), AROUND
    )
    found: dict[uuid.UUID, list[Snippet]] = {}
    reached: dict[tuple[uuid.UUID, int], int] = {}
    for row in rows:
        snippets = found.setdefault(row["exchange_id"], [])
        place = (row["exchange_id"], row["message"])
        if len(snippets) < MOST and row["at_character"] > reached.get(place, 0):
            snippets.append(_snippet(row, terms))
            reached[place] = row["from_character"] + len(row["piece"])
    return found


def _snippet(row: asyncpg.Record, terms: Terms) -> Snippet:
    folded: str = row["piece"]
    first = row["from_character"] - 1
    text = unfold(folded, row["casing"], first)
    at = row["at_character"] - 1 - first
    # What stands beyond the ends of the message is another one.
    begin = folded.rfind(MESSAGE_END, 0, at) + 1
    end = folded.find(MESSAGE_END, at)
    end = len(folded) if end < 0 else end
    is_end = end < len(folded) or first + end >= row["characters"]
    cut = min(end, begin + MOST_CHARACTERS)
    return Snippet(
        message=row["message"] + row["messages_before"],
        text=text[begin:cut],
        highlights=_highlights(folded[begin:cut], terms.wanted),
        begins=begin > 0 or first == 0,
        ends=is_end and cut == end,
    )


def _highlights(folded: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where the words stand, in order; what overlaps or touches is one."""
    places: list[tuple[int, int]] = []
    for word in words:
        at = folded.find(word)
        while at >= 0:
            places.append((at, at + len(word)))
            at = folded.find(word, at + len(word))
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(places):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
