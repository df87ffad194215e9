"""Conversations."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Conversation(BaseModel):
    """Exchanges that continue each other."""

    object: Literal["conversation"]
    id: str = Field(description="That of the exchange with which it began.")
    last_id: str = Field(description="The latest of its exchanges.")
    started_at: str | None = Field(
        description="RFC 3339, UTC; null where the first exchange is no longer kept."
    )
    last_at: str | None = Field(description="When the latest of its exchanges began.")
    title: str | None = Field(description="What was said first; null where that is no longer kept.")
    name: str | None = Field(description="The client's name for it, by `x-verbatim-conversation`.")
    project: str
    exchanges: int
    model: str | None = Field(description="The one that was asked first.")
    models: list[str] | None = Field(
        description="All that were asked. This and the sums are null where a conversation has more than 1,000 "
        "exchanges; `/api/stats?conversation=ID` sums those up."
    )
    input_tokens: int | None
    output_tokens: int | None
    cost: str | None = Field(description="US dollars; null is unknown.")
    unpriced: int | None = Field(
        description="Exchanges whose usage is known and whose cost is not: above 0, `cost` is a lower bound."
    )
    upstream: str | None
    user: str | None
    key: str | None


class ConversationList(BaseModel):
    """A page."""

    object: Literal["list"]
    data: list[Conversation]
    first_id: str | None
    last_id: str | None = Field(
        description="For the `after` of the next page; where looking took too long, how far it came."
    )
    has_more: bool
    incomplete: bool = Field(
        description="Looking took too long and gives what it found; more may follow `last_id`."
    )
