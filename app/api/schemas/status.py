"""How recording goes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Recorder(BaseModel):
    """One recorder that writes to this database."""

    id: str
    host: str
    version: str
    started_at: str
    last_seen: str
    silent_seconds: float = Field(description="Time since it was last seen, by the database's clock.")
    lag_seconds: float = Field(description="Age of the oldest exchange that has ended and is not recorded.")
    journal_bytes: int


class Status(BaseModel):
    """How recording goes."""

    object: Literal["status"]
    version: str
    recorders: list[Recorder]
