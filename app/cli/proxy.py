"""`verbatim proxy`."""

from __future__ import annotations

from app.cli.assembly import Part, run_parts
from app.cli.options import ConfigFile, read_settings


def proxy(config: ConfigFile = None) -> None:
    """Run the proxy alone: it writes the journal and needs no database."""
    run_parts(read_settings(config), {Part.PROXY})
