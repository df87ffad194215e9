"""`verbatim console`."""

from __future__ import annotations

from app.cli.assembly import Part, run_parts
from app.cli.options import ConfigFile, read_settings


def console(config: ConfigFile = None) -> None:
    """Run the console alone: the REST API over the database."""
    run_parts(read_settings(config), {Part.CONSOLE})
