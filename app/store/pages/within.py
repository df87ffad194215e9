"""Statements that may take only so long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection

LEAST_SECONDS = 0.25
"""What a step of a longer question may take beyond its budget, at least."""
QUICK_SECONDS = 0.15
"""A step that takes less is followed by a larger one."""


async def within(
    connection: Connection, seconds: float, statement: str, *parameters: Any
) -> list[asyncpg.Record] | None:
    """The rows of a statement; None where it takes longer, and then the transaction goes on as before it."""
    limit = statements("session")["limit_statement"]
    before = await connection.fetchval(statements("session")["statement_limit"])
    try:
        async with connection.transaction():
            await connection.execute(limit, f"{max(1, int(seconds * 1000))}ms")
            rows = await connection.fetch(statement, *parameters)
            await connection.execute(limit, before)
    except asyncpg.QueryCanceledError:
        return None
    return rows
