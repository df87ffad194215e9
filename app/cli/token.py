"""`verbatim token`."""

from __future__ import annotations

from app.cli.console_token import console_token
from app.cli.options import ConfigFile, read_settings


def token(config: ConfigFile = None) -> None:
    """Print the console's token, making one where there is none yet."""
    print(console_token(read_settings(config)))
