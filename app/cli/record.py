"""`verbatim record`."""

from __future__ import annotations

from app.cli.assembly import Part, run_parts
from app.cli.options import ConfigFile, read_settings


def record(config: ConfigFile = None) -> None:
    """Run the recorder alone: it brings this data directory's journal into the database."""
    run_parts(read_settings(config), {Part.RECORDER})
