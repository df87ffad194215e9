"""`verbatim db upgrade`."""

from __future__ import annotations

import asyncio

import typer

from app.cli.options import ConfigFile, read_settings
from app.errors import ConfigError


def db() -> typer.Typer:
    """The verbs under `verbatim db`."""
    commands = typer.Typer(name="db", help="The database.", no_args_is_help=True)
    # Of one command alone typer would make the verb itself.
    commands.callback()(_under_db)
    commands.command()(upgrade)
    return commands


def upgrade(config: ConfigFile = None) -> None:
    """Bring the database's schema up to date. Safe to run at any time, also many times at once."""
    settings = read_settings(config)
    url = settings.database_url_admin or settings.database_url
    if url is None:
        raise ConfigError(
            "VERBATIM_DATABASE_URL is not set; the embedded PostgreSQL is upgraded by `verbatim serve` itself"
        )
    from app.store.database import migrate

    version = asyncio.run(migrate.upgrade(url.get_secret_value()))
    print(f"the schema is at {version}")


def _under_db() -> None:
    """The database."""
