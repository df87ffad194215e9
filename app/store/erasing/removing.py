"""Deletes exchanges with all that is theirs alone, a page in a transaction."""

from __future__ import annotations

import datetime
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.store.database.periods import week_number, week_of_id
from app.store.database.pool import Pool
from app.store.erasing.requests import Target, bury, resolve
from app.store.search.erasing import erase_texts
from app.store.statements import statements
from app.store.sums.histogram import BOUNDS_MICROSECONDS

if TYPE_CHECKING:
    from app.store.database.pool import Connection

PAGE_ROWS = 100
"""Exchanges that are deleted at once; batches of their week wait meanwhile."""
LOWEST_ID = uuid.UUID(int=0)
WHOLE_PROJECT = -1
"""In place of a week: every batch of a project shares it, so who has it alone knows that all before are committed."""


class Remover:
    """Deletes rows in one database; its errors are StoreErrors, and what failed is tried again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("erasing")

    async def remove_page(
        self, erasure_id: uuid.UUID, target: Target, after: uuid.UUID = LOWEST_ID
    ) -> uuid.UUID | None:
        """Deletes the next exchanges of one week; gives the last of them, None where none is left or another recorder
        is at work."""
        async with self._pool.transaction() as connection:
            if not await self._may_work(connection, erasure_id):
                return None
            ids = await self._next(connection, target, after)
            if not ids:
                return None
            week = week_of_id(ids[0].bytes)
            await connection.execute(self._sql["lock_alone"], target.project_id, week_number(week))
            if target.kind == "conversation":
                await self._bury_talk(connection, erasure_id, target, ids)
            counts = await self._remove(connection, erasure_id, target.project_id, ids)
            await add_counts(connection, erasure_id, counts)
            return ids[-1]

    async def finish(self, erasure_id: uuid.UUID, target: Target) -> bool:
        """Says that an erasure is done with the tables; False where something is left of it."""
        async with self._pool.transaction() as connection:
            if not await self._may_work(connection, erasure_id):
                return False
            await connection.execute(self._sql["lock_alone"], target.project_id, WHOLE_PROJECT)
            if await self._next(connection, target, LOWEST_ID) or await connection.fetchval(
                self._sql["is_waiting"], erasure_id
            ):
                return False
            counts: Counter[str] = Counter()
            if target.kind == "user":
                gone = await connection.execute(
                    self._sql["delete_user_days"], target.project_id, target.value, target.until
                )
                counts["user_days"] = _rows(gone)
            signed = await connection.execute(self._sql["forget_signed"], erasure_id)
            counts["signatures"] = _rows(signed)
            kept = await connection.fetch(self._sql["forget_kept"], erasure_id)
            counts.update("runs_kept" if row["is_run"] else "pieces_kept" for row in kept)
            await add_counts(connection, erasure_id, counts)
            await connection.execute(self._sql["finish"], erasure_id)
        return True

    async def _may_work(self, connection: Connection, erasure_id: uuid.UUID) -> bool:
        if not await connection.fetchval(self._sql["try_erasing"]):
            return False
        await connection.execute(self._sql["plan_well"])
        return await connection.fetchval(self._sql["lock_erasure"], erasure_id) is not None

    async def _next(self, connection: Connection, target: Target, after: uuid.UUID) -> list[uuid.UUID]:
        """Ids of exchanges of one week."""
        ids = await resolve(connection, target)
        if target.kind == "conversation" and not ids:
            return []
        rows = await connection.fetch(
            self._sql[f"targets_{target.kind}"],
            *(target.project_id, target.value, ids, target.until, after, PAGE_ROWS),
        )
        found = [row["id"] for row in rows]
        return [each for each in found if week_of_id(each.bytes) == week_of_id(found[0].bytes)]

    async def _bury_talk(
        self, connection: Connection, erasure_id: uuid.UUID, target: Target, ids: Sequence[uuid.UUID]
    ) -> None:
        """Tombstones for exchanges of a conversation, which could not be known again once what they continue is gone,
        and for what it is called by now."""
        now = await resolve(connection, target)
        await bury(connection, target, erasure_id, now, target.until)
        named = [f"exchange:{each}" for each in ids]
        await connection.execute(
            self._sql["add_tombstones"], target.project_id, erasure_id, target.until, named
        )

    async def _remove(
        self, connection: Connection, erasure_id: uuid.UUID, project_id: int, ids: list[uuid.UUID]
    ) -> Counter[str]:
        """Tables in the order in which batches write them."""
        week = week_of_id(ids[0].bytes)
        span = (ids[0], ids[-1])
        counts: Counter[str] = Counter()
        rows = await connection.fetch(self._sql["delete_transcripts"], project_id, ids, *span)
        counts["transcripts"] = len(rows)
        ends = sorted({node for row in rows for node in row["ends"]})
        tips = sorted({row["talk_tip"] for row in rows if row["talk_tip"] is not None})
        await connection.execute(self._sql["note_nodes"], project_id, week, erasure_id, ends)
        await connection.execute(self._sql["note_tips"], project_id, week, erasure_id, tips)
        await connection.execute(self._sql["note_segments"], project_id, ids, [week], erasure_id)
        counts["search_texts"] = await erase_texts(connection, project_id, ids)
        await connection.execute(
            self._sql["take_from_tags"], project_id, ids, *span, list(BOUNDS_MICROSECONDS)
        )
        days = (week, week + datetime.timedelta(days=6))
        counts["tag_days"] = _rows(
            await connection.execute(self._sql["forget_empty_tags"], project_id, *days)
        )
        gone = await connection.fetch(self._sql["delete_exchanges"], project_id, ids, *span)
        counts["exchanges"] = len(gone)
        left = Counter(row["conversation_id"] for row in gone if row["conversation_id"] is not None)
        counts += await self._leave_conversations(connection, project_id, left)
        counts["links"] = _rows(await connection.execute(self._sql["delete_links"], project_id, ids))
        return counts

    async def _leave_conversations(
        self, connection: Connection, project_id: int, left: Counter[uuid.UUID]
    ) -> Counter[str]:
        """Takes exchanges out of their conversations; those without any go, with their names."""
        ids = sorted(left)
        if not ids:
            return Counter()
        await connection.fetch(
            statements("conversations")["lock_conversations"], [project_id] * len(ids), ids
        )
        shrunk = (project_id, ids, [left[each] for each in ids])
        await connection.execute(self._sql["shrink_conversations"], *shrunk)
        conversations = await connection.execute(self._sql["delete_conversations"], project_id, ids)
        names = await connection.execute(self._sql["delete_names"], project_id, ids)
        return Counter(conversations=_rows(conversations), names=_rows(names))


async def add_counts(connection: Connection, erasure_id: uuid.UUID, counts: Counter[str]) -> None:
    """Adds to what an erasure's receipt counts."""
    found = {name: number for name, number in counts.items() if number}
    if found:
        await connection.execute(
            statements("erasing")["add_counts"], erasure_id, list(found), list(found.values())
        )


def _rows(tag: str) -> int:
    """The rows that a command says it touched."""
    return int(tag.rsplit(" ", 1)[-1])
