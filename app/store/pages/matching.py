"""Exchanges that pass a filter: those among some that are known, or all where they are few. Words are search/'s."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.store.filters.conditions import composed
from app.store.pages.wanted import Wanted
from app.store.pages.within import within
from app.store.statements import statements

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

FEW = 2_000
"""So many exchanges that an index gives are looked at one by one."""
PROBE_SECONDS = 0.4

Key = tuple[int, uuid.UUID]
"""Project and id of an exchange."""


async def passing(connection: Connection, wanted: Wanted, ids: Sequence[uuid.UUID]) -> list[Key]:
    """Those of some exchanges that pass, in no order."""
    if not ids:
        return []
    conditions = wanted.filter.conditions(wanted.project_id)
    asked = composed(statements("lists")["among"], (wanted.low, wanted.high, list(ids)), conditions)
    return _keys(await connection.fetch(asked[0], *asked[1:]))


async def few(connection: Connection, wanted: Wanted, *, by_any_plan: bool = False) -> list[Key] | None:
    """All that pass, in no order, where an index leads to few; None where there are more, or none can tell.

    `by_any_plan` also tries, for a while, a filter of which no index is known to help.
    """
    probed = await few_by_facts_or_tags(connection, wanted)
    if probed is not None:
        return probed
    if not by_any_plan and not wanted.filter.has_index():
        return None
    conditions = wanted.filter.conditions(wanted.project_id)
    asked = composed(statements("lists")["matching"], (wanted.low, wanted.high, FEW + 1), conditions)
    rows = await within(connection, PROBE_SECONDS, *asked)
    return None if rows is None or len(rows) > FEW else _keys(rows)


async def few_by_facts_or_tags(connection: Connection, wanted: Wanted) -> list[Key] | None:
    """All that pass, where an inverted index knows that few come into question."""
    probe = wanted.filter.few_by(wanted.project_id)
    if probe is None:
        return None
    sql, (name, conditions) = statements("lists"), probe
    await connection.execute(sql["by_inverted_indexes"])
    asked = composed(sql[name], (wanted.low, wanted.high, FEW + 1), conditions)
    rows = await within(connection, PROBE_SECONDS, *asked)
    await connection.execute(sql["by_any_index"])
    if rows is None or len(rows) > FEW:
        return None
    return await passing(connection, wanted, [row["id"] for row in rows])


def _keys(rows: Sequence[asyncpg.Record]) -> list[Key]:
    return [(row["project_id"], row["id"]) for row in rows]
