"""Puts what exchanges say into the tail, in the transaction that inserts them.

What a program sends again with every call is said once: messages of a request that belong to the talk which it goes
on with are left out, where that talk is recorded in the same week, of the same user and with the same key. (So that
each can be erased without the other.)
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from app.store.search.folding import MESSAGE_END, casing_of, clean, fold
from app.store.search.signature import ROWS_PER_BLOCK
from app.store.statements import statements
from app.store.writing.rows import Placed, columns, uuid_of

if TYPE_CHECKING:
    from app.store.database.pool import Connection

LOOKED_AT = 2
"""Answers that a request holds, from the last on, of which one may be known."""


class SearchWriter:
    """Writes texts for one recorder."""

    def __init__(self) -> None:
        self._sql = statements("search")

    async def write(self, connection: Connection, placed: Sequence[Placed]) -> None:
        """Adds what these exchanges said; they, and their messages, are inserted by the same transaction."""
        speaking = [each for each in placed if each.record.content is not None and each.record.content.said]
        if not speaking:
            return
        carried = await self._carried(connection, speaking)
        rows = [
            (each.project_id, uuid_of(each.record.id), *row)
            for each, begin in zip(speaking, carried, strict=True)
            if each.record.content is not None
            for row in text_rows(each.record.content.said, begin)
        ]
        if rows:
            await connection.execute(self._sql["add_texts"], *columns(rows))

    async def _carried(self, connection: Connection, placed: Sequence[Placed]) -> list[int]:
        """How many messages of each exchange were said before."""
        rows: list[tuple[Any, ...]] = []
        held: dict[tuple[int, uuid.UUID], int] = {}
        for number, each in enumerate(placed):
            talk, join = each.record.talk, each.join
            if talk is None or not talk.is_talk or join.parent_id is None:
                continue
            for answer in talk.held[:LOOKED_AT]:
                node = uuid_of(answer.node)
                held[number, node] = answer.messages
                whose = (join.parent_id, each.record.user, each.record.key)
                rows.append((number, each.project_id, each.week, node, answer.link_key, *whose))
        begins = [0] * len(placed)
        if rows:
            for row in await connection.fetch(self._sql["carried"], *columns(rows)):
                number = row["number"]
                begins[number] = max(begins[number], held[number, row["node"]])
        return begins


def text_rows(said: Sequence[str], begin: int = 0) -> Iterator[tuple[int, str, bytes | None]]:
    """Rows for an exchange's messages from one on: its number, folded text, casing; at most ROWS_PER_BLOCK."""
    spoken = [number for number in range(begin, len(said)) if said[number]]
    if len(spoken) <= ROWS_PER_BLOCK:
        for number in spoken:
            yield (number, *_folded(said[number]))
        return
    size = -(-len(spoken) // ROWS_PER_BLOCK)
    for place in range(0, len(spoken), size):
        first, last = spoken[place], spoken[min(place + size, len(spoken)) - 1]
        yield (first, *_folded(MESSAGE_END.join(said[first : last + 1])))


def _folded(text: str) -> tuple[str, bytes | None]:
    text = clean(text)
    folded = fold(text)
    return folded, casing_of(text, folded)
