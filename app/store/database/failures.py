"""What an error of PostgreSQL, of its driver or of the network means for us.

| SQLSTATE                                            | class                   | what follows                        |
|-----------------------------------------------------|-------------------------|-------------------------------------|
| 08 53 55 57 58 40 25 XX, time limits, socket errors | StoreUnavailableError   | tried again for ever, with back-off |
| 28 3D 3F 42 0A, an unusable URL, a TLS certificate  | StoreMisconfiguredError | the same, and an operator is called |
| 22 23 54                                            | PoisonError             | the caller bisects its batch        |

Anything else is taken for transient: data is never set aside for an error that nobody understands.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from app.errors import PoisonError, StoreError, StoreMisconfiguredError, StoreUnavailableError

FOREIGN_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError too
)
"""All that asyncpg raises for a database that is away, wrong or unwilling."""

_OPERATOR_CLASSES = frozenset({"28", "3D", "3F", "42", "0A"})
_DATA_CLASSES = frozenset({"22", "23", "54"})


def classify(error: BaseException) -> type[StoreError]:
    """Which of our errors a foreign one amounts to."""
    if isinstance(error, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
        return StoreUnavailableError  # a migration went by; the next try plans anew
    if isinstance(error, asyncpg.ClientConfigurationError | ssl.SSLCertVerificationError):
        return StoreMisconfiguredError
    state = sqlstate(error)[:2]
    if state in _OPERATOR_CLASSES:
        return StoreMisconfiguredError
    if state in _DATA_CLASSES:
        return PoisonError
    return StoreUnavailableError


def sqlstate(error: BaseException) -> str:
    """The five characters of SQLSTATE, or nothing where PostgreSQL did not answer."""
    return str(getattr(error, "sqlstate", None) or "")


def is_missing_partition(error: BaseException) -> bool:
    """Whether a row found no partition (a check violation that names no constraint)."""
    return isinstance(error, asyncpg.CheckViolationError) and error.constraint_name is None


def is_certain(error: BaseException) -> bool:
    """Whether PostgreSQL itself refused a command, and its connection can be used on.

    After a failover the old server, or what a session took over from it, may stay read-only (25) for ever.
    """
    return isinstance(error, asyncpg.PostgresError) and sqlstate(error)[:2] not in (
        "08",
        "25",
        "57",
        "58",
        "XX",
        "",
    )


def translate(error: BaseException) -> StoreError:
    """Our error for a foreign one; that of poison quotes nothing, since the driver's text may hold a value."""
    kind = classify(error)
    if kind is PoisonError:
        return PoisonError(f"{type(error).__name__} {sqlstate(error)}")
    first_line = (str(error).splitlines() or [""])[0]
    return kind(" ".join(word for word in (type(error).__name__, sqlstate(error), first_line) if word))


@contextmanager
def translated() -> Iterator[None]:
    """Turns foreign errors into ours; a poisonous value is not kept in the chain of causes either."""
    try:
        yield
    except FOREIGN_ERRORS as error:
        ours = translate(error)
        raise ours from (None if isinstance(ours, PoisonError) else error)
