"""What a bearer of a token may do: all, or read one project."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Protocol

READ_TOKEN_PREFIX = "vbr-"
READ_METHOD = "GET"
_READABLE = re.compile(r"/(?:api/(?:exchanges|conversations|stats|export|tail)|v1)(?:/.*)?", re.DOTALL)
"""What answers of one project where that is asked for; all else tells of the whole record, or changes it."""


class ProjectTokens(Protocol):
    """Knows the tokens that read one project."""

    async def project_of(self, token_sha256: bytes) -> str | None:
        """The project that the token with this digest reads; None where there is no such token. Raises StoreError."""


def token_hash(token: str) -> bytes:
    """SHA-256 of a token: what the console keeps of it."""
    return hashlib.sha256(token.encode()).digest()


def new_read_token() -> str:
    """A token that nobody can guess."""
    return READ_TOKEN_PREFIX + secrets.token_urlsafe(32)


def is_readable(method: str, path: str) -> bool:
    """Whether one who reads one project may ask for this."""
    return method == READ_METHOD and _READABLE.fullmatch(path) is not None
