"""What every verb takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from app.config import Settings, load_settings

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file with settings; the environment wins over it."),
]


def read_settings(config_file: Path | None) -> Settings:
    """The settings of this process. Raises ConfigError."""
    return load_settings(os.environ, config_file)
