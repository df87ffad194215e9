"""What is erased, and receipts."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class ErasureRequest(BaseModel):
    """What to erase: one of `user`, `key`, `conversation`, `exchange`."""

    model_config = ConfigDict(extra="forbid")

    user: str | None = Field(None, min_length=1, max_length=1024, description="A user.")
    key: str | None = Field(
        None, min_length=1, max_length=1024, description="Fingerprint of a credential, as exchanges show it."
    )
    conversation: str | None = Field(
        None, min_length=1, max_length=1024, description="Id or name of a conversation."
    )
    exchange: UUID | None = Field(None, description="Id of an exchange.")
    project: str | None = Field(
        None, max_length=1024, description="Project; may be left out where there is only one."
    )
    until: str | None = Field(
        None,
        description="What began before this time, as lists take it; everything until now where it is left out.",
    )
    dry_run: bool = Field(False, description="Count what would go, and erase nothing.")


class ErasedCounts(BaseModel):
    """What went from the tables, and what of it others use and so stays."""

    exchanges: int
    transcripts: int = Field(description="Exchanges whose content was kept.")
    pieces: int = Field(description="Slices of bodies, and lists of headers.")
    pieces_kept: int = Field(description="Those that exchanges of others use, too.")
    runs: int = Field(description="Rows of `messages`: keys of what was said.")
    runs_kept: int
    search_texts: int
    signatures: int = Field(description="Signatures of the search that were made anew, by eight segments.")
    conversations: int
    names: int = Field(description="Of conversations.")
    links: int = Field(description="Loose ends of conversations.")
    user_days: int = Field(description="Daily sums that named the user.")
    tag_days: int = Field(description="Daily sums by tags that only erased exchanges had.")


class ErasingRecorder(BaseModel):
    """What one recorder did."""

    id: str
    host: str
    last_seen: str
    live: bool = Field(description="Seen within five minutes; another one reports when it is back.")
    done_at: str | None = Field(description="Since then nothing of it is on that recorder's disk.")
    stopped: int = Field(description="Exchanges that came out of its journal and were not recorded.")
    quarantined: int = Field(description="Exchanges that were taken out of its quarantine.")
    quarantine_unreadable: int = Field(
        description="Files in its quarantine that nobody can read: to be looked at, and deleted by hand."
    )


class ErasureAnswer(BaseModel):
    """An erasure, and its receipt."""

    object: Literal["erasure"]
    id: str
    project: str
    status: Literal["erasing", "waiting", "done"] = Field(
        description="`erasing`: tables still have some of it; `waiting`: a recorder's disk may; `done`: none is left."
    )
    kind: Literal["exchange", "user", "key", "conversation"]
    value: str | None = Field(description="Null once it is gone from the tables: a receipt names nobody.")
    until: str | None
    requested_at: str
    erased_at: str | None = Field(description="Since then nothing of it is in the tables.")
    counts: ErasedCounts
    recorders: list[ErasingRecorder]


class ErasureList(BaseModel):
    """A page of erasures, the latest first."""

    object: Literal["list"]
    data: list[ErasureAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ErasureCount(BaseModel):
    """What an erasure would take."""

    object: Literal["erasure.dry_run"]
    project: str
    kind: Literal["exchange", "user", "key", "conversation"]
    value: str
    until: str | None
    exchanges: int
    body_bytes: int = Field(description="Of bodies as they were on the wire.")
    conversations: int
    first_started_at: str | None
    last_started_at: str | None
