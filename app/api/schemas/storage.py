"""How much room the record takes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PeriodStorage(BaseModel):
    """A week of content and search, or a month of metadata."""

    model_config = ConfigDict(populate_by_name=True)

    first_day: str = Field(alias="from")
    before: str
    bytes: dict[str, int]
    estimated_exchanges: int


class StorageAnswer(BaseModel):
    """How much room the record takes; bytes on disk, indexes included."""

    object: Literal["storage"]
    total_bytes: int
    bytes: dict[str, int] = Field(description="`metadata`, `content`, `search`, and `sums` with all else.")
    weeks: list[PeriodStorage] = Field(description="The newest first.")
    months: list[PeriodStorage]
    growth_bytes_per_day: int = Field(description="Over the last two weeks, or since recording began.")
    limit_bytes: int | None = Field(description="`VERBATIM_STORE_MAX_GB`.")
    limit_reached_at: str | None = Field(
        description="At this growth; then the oldest weeks of content begin to go."
    )
