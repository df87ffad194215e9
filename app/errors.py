"""The error tree: the first line of each docstring is the error's message and says what the operator can do."""

from __future__ import annotations


class VerbatimError(Exception):
    """Something of Verbatim's failed."""

    def __init__(self, detail: str = "") -> None:
        message = (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(f"{message.rstrip('.')}: {detail}" if detail else message)


class ConfigError(VerbatimError):
    """A setting is wrong; correct it and start again."""


class JournalError(VerbatimError):
    """The journal cannot be used; check the data directory's disk, owner and mode."""


class JournalUnsupportedError(JournalError):
    """The data directory's file system lacks flock or fdatasync; move the data directory to a local disk."""


class FrameError(JournalError):
    """Bytes in the journal are no valid frame; they are counted and skipped."""


class StoreError(VerbatimError):
    """PostgreSQL refused or could not be reached; the journal keeps everything until it can."""


class StoreUnavailableError(StoreError):
    """PostgreSQL cannot be reached right now; delivery is retried by itself."""


class StoreMisconfiguredError(StoreError):
    """PostgreSQL is there but not as needed; check the URL, the role's rights and run `verbatim db upgrade`."""


class PoisonError(StoreError):
    """PostgreSQL will not take this one exchange; it goes to quarantine and the rest goes on."""


class EmbeddedDatabaseError(StoreError):
    """The embedded PostgreSQL did not start; see its log in the data directory."""


class ExportFailedError(VerbatimError):
    """The process that writes a file of Parquet ended before the file; go on from the last id that came whole."""


class ConsoleError(VerbatimError):
    """The console did not give the command line what it asked for."""


class ConsoleUnreachableError(ConsoleError):
    """The console does not answer, or its answer was cut."""


class ConsoleRefusedError(ConsoleError):
    """The console answered with an error."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
