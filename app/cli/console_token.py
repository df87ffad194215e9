"""The console's master token: a setting, or made once and kept in the data directory with mode 0600."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from app.cli.data_dir import prepare_data_dir
from app.config import Settings
from app.errors import ConfigError


def console_token(settings: Settings) -> str:
    """The token that the settings or the data directory hold; made now where there is none. Raises ConfigError."""
    if settings.console_token is not None:
        return settings.console_token.get_secret_value()
    path = settings.console_token_file
    try:
        prepare_data_dir(settings.data_dir)
        if not path.exists():
            _make(path)
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the console's token in {path} cannot be read or made: {error}") from error
    if not token:
        raise ConfigError(f"the console's token in {path} is empty; remove the file and start again")
    return token


def known_console_token(settings: Settings) -> str:
    """The token that the settings or the data directory hold; none is made. Raises ConfigError."""
    if settings.console_token is not None:
        return settings.console_token.get_secret_value()
    path = settings.console_token_file
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise ConfigError(
            f"no console has run with {settings.data_dir}; set VERBATIM_DATA_DIR, or give --server and --token"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the console's token in {path} cannot be read: {error}; --token gives it"
        ) from error


def _make(path: Path) -> None:
    """The file appears whole, and only if nobody else made it first."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"vb-{secrets.token_urlsafe(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
