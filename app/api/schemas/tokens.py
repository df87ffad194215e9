"""Tokens that read one project."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TokenRequest(BaseModel):
    """A token that is wanted."""

    model_config = ConfigDict(extra="forbid")

    project: str = Field(
        pattern="^[a-z0-9][a-z0-9._-]{0,62}$",
        description="The project that it reads; it need not be there yet.",
    )
    name: str | None = Field(
        None, pattern="^[!-~]([ -~]{0,62}[!-~])?$", description="Whom it is for, in ASCII."
    )


class Token(BaseModel):
    """A token without its text."""

    object: Literal["token"]
    id: uuid.UUID
    project: str
    name: str | None
    created_at: str


class MadeToken(Token):
    """A token that was made now."""

    token: str = Field(description="Shown this once: only its SHA-256 is kept.")


class RevokedToken(BaseModel):
    """A token that is good for nothing any more."""

    object: Literal["token.revoked"]
    id: uuid.UUID
    revoked: Literal[True]


class TokenList(BaseModel):
    """All tokens, the newest first."""

    object: Literal["list"]
    data: list[Token]
    first_id: uuid.UUID | None
    last_id: uuid.UUID | None
    has_more: bool
