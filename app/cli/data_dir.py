"""The data directory: made where it is missing, and its disk tried."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path

from app.errors import ConfigError, JournalUnsupportedError

_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def prepare_data_dir(data_dir: Path) -> None:
    """Makes the data directory, for this user alone, where it is missing. Raises ConfigError."""
    # As root the embedded database runs as another user, which has to pass through; what is inside is closed to it.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        data_dir.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"VERBATIM_DATA_DIR={data_dir} cannot be made ({error.strerror}); it takes one that this user can write"
        ) from error


def try_disk(data_dir: Path) -> None:
    """Does once what the journal does all the time, and leaves nothing behind.

    Raises ConfigError where this user may not write, JournalUnsupportedError where the file system lacks something. A
    full disk is neither: VERBATIM_JOURNAL_ON_FULL says what happens then.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=data_dir, prefix=".trial-") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(b"verbatim")
            file.flush()
            # macOS has no fdatasync.
            getattr(os, "fdatasync", os.fsync)(file.fileno())
    except OSError as error:
        if error.errno in _FULL:
            return
        if error.errno in _RIGHTS:
            raise ConfigError(
                f"VERBATIM_DATA_DIR={data_dir}: {error.strerror}; it takes a directory that this user can write"
            ) from error
        raise JournalUnsupportedError(f"{data_dir}: {error.strerror}") from error
