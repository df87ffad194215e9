"""Tokens that read one project: kept as SHA-256, asked for with every request that bears one."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.clock import monotonic_ns, new_id, wall_ns
from app.store.database.pool import Pool
from app.store.statements import statements

if TYPE_CHECKING:
    import asyncpg

MOST_TOKENS = 1_000
KNOWN_SECONDS = 2.0
"""How long a console goes on with what it knows: a token that another one took away is refused after this."""


@dataclass(frozen=True, slots=True)
class ReadToken:
    """A token without its text, which nobody has but whom it was given to."""

    id: uuid.UUID
    project: str
    name: str | None
    created_at: datetime.datetime


class ReadTokens:
    """The tokens of one database; errors are app.errors' StoreErrors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("tokens")
        self._projects: dict[bytes, str] = {}
        self._known_until_ns = 0

    async def project_of(self, token_sha256: bytes) -> str | None:
        """The project that the token with this digest reads; None where there is no such token."""
        if monotonic_ns() >= self._known_until_ns:
            rows = await self._rows()
            self._projects = {row["token_sha256"]: row["project"] for row in rows}
            self._known_until_ns = monotonic_ns() + int(KNOWN_SECONDS * 1e9)
        return self._projects.get(token_sha256)

    async def all(self) -> list[ReadToken]:
        """Every token, the newest first; at most MOST_TOKENS."""
        return [_token(row) for row in await self._rows()]

    async def make(self, token_sha256: bytes, project: str, name: str | None) -> ReadToken | None:
        """Keeps a token; None where there are MOST_TOKENS already."""
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(
                self._sql["make"],
                uuid.UUID(bytes=new_id(wall_ns())),
                token_sha256,
                project,
                name,
                MOST_TOKENS,
            )
        self._known_until_ns = 0
        return None if row is None else _token(row)

    async def revoke(self, token_id: uuid.UUID) -> bool:
        """Takes a token away; False where there is none."""
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(self._sql["revoke"], token_id)
        self._known_until_ns = 0
        return row is not None

    async def _rows(self) -> list[asyncpg.Record]:
        async with self._pool.transaction(readonly=True) as connection:
            return await connection.fetch(self._sql["all"])


def _token(row: asyncpg.Record) -> ReadToken:
    return ReadToken(row["id"], row["project"], row["name"], row["created_at"])
