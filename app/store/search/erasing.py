"""Takes out of the search what exchanges said."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.store.database.periods import week_of_id
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection


async def erase_texts(connection: Connection, project_id: int, exchange_ids: Sequence[uuid.UUID]) -> int:
    """Removes the texts of exchanges from tail and segments; gives how many rows it removed.

    In the transaction that erases the exchanges, which holds the locks of their weeks alone. A text that others say,
    too, stays with them. Signatures keep bits of what is gone, which is no text, until `verbatim search rebuild`.
    """
    if not exchange_ids:
        return 0
    sql = statements("search")
    ids = sorted(exchange_ids)
    weeks = sorted({week_of_id(each.bytes) for each in ids})
    erased = await connection.execute(sql["erase_tail"], project_id, ids, ids[0], ids[-1])
    shared = await connection.execute(sql["erase_names"], project_id, ids, weeks)
    rows = await connection.fetch(sql["erase_texts"], project_id, ids, weeks)
    if held := [(row["week"], row["same_as"]) for row in rows if row["same_as"] is not None]:
        await connection.execute(
            sql["erase_holders"], project_id, [week for week, _ in held], [row for _, row in held]
        )
    return _count(erased) + _count(shared) + len(rows)


def _count(tag: str) -> int:
    """The rows that a command says it touched."""
    return int(tag.rsplit(" ", 1)[-1])
