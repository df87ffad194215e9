"""Brings a database's schema up to date: alembic's versions, run as plain SQL over asyncpg.

One transaction under an advisory lock holds a whole upgrade, so that any number of sidecars may start at once and a
failed upgrade leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

import app
from app.errors import StoreMisconfiguredError
from app.store.database.failures import translated
from app.store.database.pool import connect
from app.store.database.writer import check_writer
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection

UPGRADE_LOCK_SECONDS = 120.0
"""How long one process waits for another's upgrade."""


async def upgrade(url: str) -> str:
    """Runs the migrations that are missing and gives the version that the database then has."""
    sql = statements("migrate")
    with translated():
        connection = await connect(url, command_seconds=None)
        try:
            async with connection.transaction():
                await connection.execute(sql["limit_upgrade"])
                async with asyncio.timeout(UPGRADE_LOCK_SECONDS):
                    await connection.execute(sql["lock_schema"])
                before = await _version(connection)
                if missing := script(before):
                    await connection.execute(missing)
                await check_writer(connection)
                return await _version(connection) or ""
        finally:
            connection.terminate()


async def current(url: str) -> str | None:
    """The version that a database has; None where no migration ever ran."""
    with translated():
        connection = await connect(url)
        try:
            return await _version(connection)
        finally:
            connection.terminate()


async def check(url: str) -> None:
    """Raises StoreMisconfiguredError unless this code may write to this database."""
    with translated():
        connection = await connect(url)
        try:
            version = await _version(connection)
            if version is None or version < newest():
                raise StoreMisconfiguredError(
                    f"the schema is at {version or 'nothing'}, and {newest()} is needed"
                )
            await check_writer(connection)
        finally:
            connection.terminate()


def newest() -> str:
    """The last of the migrations that came with this code; versions are numbers of four digits."""
    head = ScriptDirectory.from_config(_config(io.StringIO())).get_current_head()
    if head is None:
        raise StoreMisconfiguredError(f"no migrations in {folder()}")
    return head


def script(before: str | None, after: str = "head") -> str:
    """The SQL that leads from a version (None: from nothing) to another; nothing where there is nothing to do."""
    if before is not None and before >= newest():
        return ""  # a newer Verbatim was here first; min_writer says whether we may go on
    text = io.StringIO()
    command.upgrade(_config(text), f"{before}:{after}" if before else after, sql=True)
    return text.getvalue()


def folder() -> Path:
    """Where the migrations are: inside the package once installed, beside it in a checkout."""
    package = Path(app.__file__).parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _config(output: io.StringIO) -> Config:
    config = Config(output_buffer=output, stdout=io.StringIO())
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


async def _version(connection: Connection) -> str | None:
    sql = statements("migrate")
    if not await connection.fetchval(sql["has_versions"]):
        return None
    version = await connection.fetchval(sql["current_version"])
    return None if version is None else str(version)
