"""Sums by groups."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Percentiles(BaseModel):
    """Milliseconds below which so many in a hundred lie; right to 9 %."""

    p50: float
    p90: float
    p95: float
    p99: float


class GroupStats(BaseModel):
    """What a group of exchanges adds up to; what is unknown of an exchange adds nothing."""

    object: Literal["stats"]
    group: dict[str, str | None] = Field(description="By the names of `group_by`; null is unknown.")
    exchanges: int
    request_bytes: int
    response_bytes: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    total_tokens: int
    unpriced: int = Field(
        description="Exchanges whose usage is known and whose cost is not: above 0, `cost` is a lower bound."
    )
    cost: str = Field(description="US dollars.")
    errors: int | None = Field(
        description="Answers of 400 and above, and exchanges that ended otherwise than `completed` or `client_left`."
    )
    error_rate: float | None
    duration_ms: Percentiles | None
    ttft_ms: Percentiles | None


class StatsList(BaseModel):
    """Groups."""

    object: Literal["list"]
    data: list[GroupStats]
    has_more: bool = Field(description="There are more groups than `limit`.")
    incomplete: bool = Field(description="Reading took too long; what began before `since` is not in it.")
    since: str | None
    source: Literal["hourly", "users", "tags", "exchanges"] = Field(
        description="`hourly`, `users`, `tags`: sums written while recording; users' sums have no errors and no "
        "percentiles. `exchanges`: worked out now."
    )
