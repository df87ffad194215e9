"""Which projects a question may read: all of them, or one, said once where the question comes in.

Whatever reads the record for somebody looks its projects up here, so that no new question can forget to ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection

_ONLY: ContextVar[str | None] = ContextVar("only_project", default=None)


@contextmanager
def only_project(name: str | None) -> Iterator[None]:
    """What is read within, in tasks that are begun within too, is read of this project alone; None: of all."""
    token = _ONLY.set(name)
    try:
        yield
    finally:
        _ONLY.reset(token)


async def visible_projects(connection: Connection) -> dict[int, str]:
    """Numbers and names of the projects that may be read now."""
    only = _ONLY.get()
    rows = await connection.fetch(statements("query")["projects"])
    return {row["id"]: row["name"] for row in rows if only in (None, row["name"])}
