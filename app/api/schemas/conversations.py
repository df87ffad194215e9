"""Conversations."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from app.api.schemas.exchanges import Message


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


class Turn(BaseModel):
    """One exchange of a conversation, and where it stands in the tree."""

    exchange_id: str
    parent_id: str | None = Field(description="The exchange that it continues.")
    joined_by: str | None = Field(description="`answer`, `response`, `repeat` or `name`.")
    started_at: str
    duration_ms: float
    model: str | None
    status: int | None
    outcome: str
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost: str | None
    asked: str | None = Field(
        description="The node of what it asked last; null where its words are not kept."
    )
    answered: list[str] = Field(description="The nodes of its answers.")
    shortened: bool = Field(description="It did not send all that was said above its question.")


class Node(BaseModel):
    """What one speaker said in a row, after the nodes above it."""

    id: str = Field(description="The same whenever the conversation is read.")
    parent_id: str | None = Field(description="The node above it; null at the beginning.")
    role: str
    exchange_ids: list[str] = Field(
        description="Those that said it, the first one first; at most 100, and not those that sent it again as history."
    )
    preview: str = Field(description="The first 200 characters.")
    messages: list[Message] | None = Field(None, description="With `messages=true`.")


class ConversationTree(Conversation):
    """One conversation as a tree."""

    turns: list[Turn] = Field(description="Its exchanges, in the order in which they began.")
    kept: int = Field(description="Exchanges of `turns` whose words are kept.")
    nodes: list[Node] = Field(description="Each stands behind the one above it.")
    incomplete: bool = Field(description="The conversation goes on behind these turns.")
