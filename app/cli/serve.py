"""`verbatim serve`."""

from __future__ import annotations

from app.cli.assembly import Part, run_parts
from app.cli.options import ConfigFile, read_settings


def serve(config: ConfigFile = None) -> None:
    """Run everything: proxy, recorder, console and, where no database is set, a PostgreSQL of its own."""
    settings = read_settings(config)
    parts = {Part.PROXY, Part.RECORDER}
    if settings.console:
        parts.add(Part.CONSOLE)
    run_parts(settings, parts, with_database=True)
