"""Which writers a database takes.

Migrations expand first and contract later; `meta.min_writer` then stops recorders that know too little to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import StoreMisconfiguredError
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection

WRITER_VERSION = 4
"""What this code writes; a database whose `min_writer` is higher needs a newer Verbatim."""


async def check_writer(connection: Connection) -> None:
    """Raises StoreMisconfiguredError where the database asks for a newer writer."""
    oldest = int(await connection.fetchval(statements("migrate")["min_writer"]) or 0)
    if oldest > WRITER_VERSION:
        raise StoreMisconfiguredError(
            f"the database asks for writers of version {oldest}, this is {WRITER_VERSION}; update Verbatim"
        )
