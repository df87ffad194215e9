"""What is to be erased, asked for by the console, and how far it is."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from app.clock import new_id, wall_ns
from app.store.database.pool import Pool
from app.store.statements import statements

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

Kind = Literal["exchange", "user", "key", "conversation"]
LIVE_SECONDS = 300.0
"""A recorder that was seen within this time has to report; one that was not does so when it is back."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be erased in one project."""

    project_id: int
    kind: Kind
    value: str
    """An exchange's id, a user, a key's fingerprint, a conversation's id or name."""
    until: datetime.datetime | None = None
    """What began later stays; None: now. An exchange goes whenever it began."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What an erasure would take."""

    exchanges: int
    body_bytes: int
    """Of bodies as they were on the wire."""
    conversations: int
    first_started_at: datetime.datetime | None
    last_started_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class Reported:
    """What one recorder did for an erasure."""

    recorder_id: uuid.UUID
    host: str
    last_seen: datetime.datetime
    is_live: bool
    done_at: datetime.datetime | None
    """Since then nothing of it is on the recorder's disk."""
    stopped: int
    """Exchanges that came from its journal and were not recorded."""
    quarantined: int
    """Exchanges that it took out of its quarantine."""
    unreadable: int
    """Files in its quarantine of which nobody can tell what is in them."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was asked for, and its receipt."""

    id: uuid.UUID
    project: str
    kind: str
    value: str | None
    """None once it is gone from the tables."""
    until: datetime.datetime | None
    requested_at: datetime.datetime
    erased_at: datetime.datetime | None
    counts: dict[str, int]
    """Rows that went, by what they were."""
    recorders: list[Reported] = field(default_factory=list)

    @property
    def state(self) -> Literal["erasing", "waiting", "done"]:
        """`erasing`: the tables still have some; `waiting`: a recorder's disk may; `done`: nothing is left."""
        if self.erased_at is None:
            return "erasing"
        is_left = any(each.is_live and each.done_at is None for each in self.recorders)
        return "waiting" if is_left else "done"


class Erasures:
    """Asks for erasures in one database; its errors are StoreErrors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("erasing")

    async def projects(self) -> dict[str, int]:
        """Numbers of projects by name."""
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(statements("query")["projects"])
        return {row["name"]: row["id"] for row in rows}

    async def of_exchange(self, exchange_id: uuid.UUID) -> Erasure | None:
        """Has an exchange erased; gives the erasure that did so before, and None where nothing is known of it."""
        async with self._pool.transaction(readonly=True) as connection:
            known = await connection.fetchval(self._sql["erased_exchange"], exchange_id)
            project_id = await connection.fetchval(self._sql["project_of"], exchange_id)
        if project_id is not None:
            return await self.request(Target(project_id, "exchange", str(exchange_id)))
        return await self.get(known) if known is not None else None

    async def erased_among(self, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Which of these exchanges are erased by their ids, or about to be."""
        if not ids:
            return set()
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(statements("ingest")["known_erased"], list(ids))
        return {row["id"] for row in rows}

    async def request(self, target: Target) -> Erasure:
        """Has something erased: from now on nothing of it is recorded, and what is there goes."""
        erasure_id = uuid.UUID(bytes=new_id(wall_ns()))
        async with self._pool.transaction() as connection:
            until = await connection.fetchval(
                self._sql["add_erasure"],
                *(erasure_id, target.project_id, target.kind, target.value, target.until),
            )
            ids = await resolve(connection, target)
            await bury(connection, target, erasure_id, ids, until)
        made = await self.get(erasure_id)
        assert made is not None
        return made

    async def count(self, target: Target) -> Counted:
        """What would go; changes nothing."""
        async with self._pool.transaction(readonly=True) as connection:
            ids = await resolve(connection, target)
            row = await connection.fetchrow(
                self._sql["count_targets"], target.project_id, target.kind, target.value, ids, target.until
            )
        return Counted(**dict(row or {}))

    async def get(self, erasure_id: uuid.UUID) -> Erasure | None:
        """One erasure; None where there is none."""
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["erasure"], erasure_id)
            found = await self._with_progress(connection, rows)
        return found[0] if found else None

    async def listing(self, after: uuid.UUID | None, limit: int) -> tuple[list[Erasure], bool]:
        """The page of erasures that follow `after`, the latest first, and whether there are more."""
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["erasures"], after, limit + 1)
            return await self._with_progress(connection, rows[:limit]), len(rows) > limit

    async def _with_progress(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> list[Erasure]:
        ids = [row["id"] for row in rows]
        told: dict[uuid.UUID, list[Reported]] = {}
        for each in await connection.fetch(self._sql["progress"], ids, LIVE_SECONDS) if ids else ():
            values: dict[str, Any] = dict(each)
            told.setdefault(values.pop("erasure_id"), []).append(Reported(**values))
        return [_erasure(row, told.get(row["id"], [])) for row in rows]


async def resolve(connection: Connection, target: Target) -> list[uuid.UUID]:
    """Ids of the exchange, or of the conversation, that is meant; none for users and keys."""
    if target.kind == "exchange":
        return [uuid.UUID(target.value)]
    if target.kind != "conversation":
        return []
    given = _uuid(target.value)
    rows = await connection.fetch(
        statements("erasing")["named_conversations"], target.project_id, given, target.value
    )
    return sorted({row["id"] for row in rows} | ({given} if given is not None else set()))


async def bury(
    connection: Connection,
    target: Target,
    erasure_id: uuid.UUID,
    ids: Sequence[uuid.UUID],
    until: datetime.datetime | None,
) -> None:
    """Writes tombstones for a target and, where it is a conversation, for each of its ids and names."""
    sql = statements("erasing")
    named = {target.value, *(str(each) for each in ids)}
    if target.kind == "conversation" and ids:
        names = await connection.fetch(sql["names_of"], target.project_id, ids)
        named.update(row["name"] for row in names)
    values = sorted(f"{target.kind}:{each}" for each in named)
    await connection.execute(sql["add_tombstones"], target.project_id, erasure_id, until, values)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _erasure(row: asyncpg.Record, recorders: list[Reported]) -> Erasure:
    return Erasure(
        *(row["id"], row["project"], row["kind"], row["value"], row["until"]),
        *(row["requested_at"], row["erased_at"]),
        counts=msgspec.json.decode(row["counts"], type=dict[str, int]),
        recorders=recorders,
    )
