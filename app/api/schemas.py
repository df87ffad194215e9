"""What the wire promises: the shapes of answers and of a list's parameters.

Answers are made by wire.py without these classes, which are the description in /openapi.json; a test compares the two.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

Name = Annotated[str, Field(max_length=1024)]


def _mend_time(value: object) -> object:
    """A `+` that a client forgot to escape has become a space: 2026-11-22T10:00:00 01:00."""
    if isinstance(value, str) and len(value) == 25 and value[19] == " ":
        return f"{value[:19]}+{value[20:]}"
    if isinstance(value, str) and len(value) == 10:
        return f"{value}T00:00:00Z"
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_mend_time)]


class FilterParameters(BaseModel):
    """Which exchanges; several filters hold together."""

    model_config = ConfigDict(extra="forbid")

    project: Name | None = Field(None, description="Project; all projects where it is left out.")
    model: Name | None = Field(None, description="Model asked for.")
    upstream: Name | None = Field(None, description="Name of the upstream; the default one is `v1`.")
    method: Name | None = Field(None, description="HTTP method.")
    path: Name | None = Field(None, description="Path as the client sent it, without the query.")
    status: int | None = Field(None, ge=100, le=599, description="HTTP status of the answer.")
    outcome: (
        Literal[
            "completed",
            "client_left",
            "upstream_failed",
            "upstream_timed_out",
            "refused",
            "proxy_failed",
            "proxy_stopped",
            "proxy_crashed",
        ]
        | None
    ) = Field(None, description="How the exchange ended.")
    user: Name | None = Field(None, description="User of the exchange.")
    key: Name | None = Field(None, description="Fingerprint of the credential.")
    conversation: Name | None = Field(
        None, description="Id of a conversation, or the name that a client (or the provider) gave it."
    )
    upstream_id: Name | None = Field(
        None, description="The provider's id of the answer: `chatcmpl-…`, `resp_…`."
    )
    q: str | None = Field(
        None,
        max_length=4096,
        description="What was said, in either direction and any script: words that are all said, wherever they stand, "
        '`"a phrase"`, and `-word` for one that is not.',
    )
    since: Time | None = Field(
        None, description="Begun at this time or later: 2026-11-22T10:00:00Z or 2026-11-22."
    )
    until: Time | None = Field(None, description="Begun before this time.")


class ListParameters(FilterParameters):
    """Which exchanges, and how many."""

    after: uuid.UUID | None = Field(None, description="The `last_id` of the page before.")
    limit: int = Field(20, ge=1, le=1000, description="Longest page.")
    order: Literal["desc", "asc"] = Field("desc", description="`desc`: newest first; `asc`: oldest first.")


class Usage(BaseModel):
    """Tokens as the provider reported them; null is unknown."""

    input_tokens: int | None = Field(description="All of them, cached ones too.")
    cached_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None = Field(description="All of them, reasoning too.")
    reasoning_tokens: int | None
    total_tokens: int | None
    input_audio_tokens: int | None
    output_audio_tokens: int | None
    input_image_tokens: int | None
    output_image_tokens: int | None


class Snippet(BaseModel):
    """Where a word was said."""

    message: int = Field(description="Which of the exchange's `messages`, from 0.")
    text: str
    highlights: list[tuple[int, int]] = Field(
        description="Where the words stand in it: characters from and to before."
    )
    begins: bool = Field(description="The message begins here.")
    ends: bool = Field(description="The message ends here.")


class Exchange(BaseModel):
    """One exchange as lists have it."""

    object: Literal["exchange"]
    id: str
    started_at: str = Field(description="RFC 3339, UTC.")
    method: str
    path: str
    upstream: str
    model: str | None
    model_served: str | None
    status: int | None
    outcome: str
    reason: str | None
    stream: bool
    duration_ms: float
    ttft_ms: float | None = Field(description="Milliseconds to the first byte of the answer's body.")
    request_bytes: int
    response_bytes: int
    usage: Usage | None
    cost: str | None = Field(description="US dollars; null is unknown.")
    finish_reason: str | None
    upstream_id: str | None
    user: str | None
    key: str | None
    project: str
    conversation: str | None
    conversation_id: str | None = Field(description="Exchanges that continue each other have the same.")
    parent_id: str | None = Field(description="The exchange that this one continues.")
    tags: dict[str, str]
    request_preview: str | None
    response_preview: str | None
    capture_status: str


class ToolCall(BaseModel):
    """A call of a tool that a model asked for."""

    id: str | None
    name: str | None
    arguments: str | None = Field(description="The text as the model wrote it.")


class Message(BaseModel):
    """One message of a request or an answer, whichever API it was said in."""

    direction: Literal["request", "response"]
    choice: int | None = Field(description="Which of n answers; null in requests.")
    role: str
    name: str | None
    text: str | None = Field(description="All text parts joined.")
    parts: list[Any] = Field(
        description="Text, image, audio, video, file, refusal, reasoning, and whatever else there was; "
        "bytes sent inline are named by size and SHA-256."
    )
    tool_calls: list[ToolCall]
    tool_call_id: str | None = Field(description="Of what a tool gave: the call that it answers.")
    refusal: str | None
    reasoning: str | None
    finish_reason: str | None


class ExchangeDetail(Exchange):
    """All of one exchange but the bodies' bytes."""

    query: str
    route: str
    authority: str
    http_version: str
    detail: str | None
    request_complete: bool
    request_sha256: str | None
    response_sha256: str | None
    request_content_type: str | None
    request_content_encoding: str | None
    response_content_type: str | None
    response_content_encoding: str | None
    service_tier: str | None
    error_type: str | None
    error_code: str | None
    usage_source: str
    usage_reported: Any = Field(description="The provider's usage object, as it was.")
    price_version: str | None = Field(description="Which prices the cost was worked out with.")
    cost_status: str | None = Field(
        description="`priced`; `unknown_upstream`, `unknown_model` or `unpriced`, where there is no cost; `repeated`, "
        "where another exchange has this usage and its cost; null where no usage is known."
    )
    key_tail: str | None
    joined_by: str | None = Field(description="`answer`, `response`, `repeat` or `name`.")
    retry_count: int
    log_mode: str
    recorded_at: str
    recorder_id: str
    boot: str
    slot: int
    accept_number: int
    request_headers: list[tuple[str, str]] | None = Field(
        description="In order; null where they are not kept."
    )
    response_headers: list[tuple[str, str]] | None
    trailers: list[tuple[str, str]] | None
    messages: list[Message] | None = Field(
        description="In order; null where no bytes are kept, empty where they hold none that is understood."
    )


class ListedExchange(Exchange):
    """One exchange of a list."""

    snippets: list[Snippet] | None = Field(None, description="Of a search: where the words were said.")


class ExchangeList(BaseModel):
    """A page."""

    object: Literal["list"]
    data: list[ListedExchange]
    first_id: str | None
    last_id: str | None = Field(
        description="For the `after` of the next page; where the search timed out, how far it came."
    )
    has_more: bool
    timed_out: bool = Field(
        description="The search took too long and gives what it found; more may follow `last_id`."
    )


class ConversationParameters(BaseModel):
    """Which conversations, and how many."""

    model_config = ConfigDict(extra="forbid")

    project: Name | None = Field(None, description="Project; all projects where it is left out.")
    after: uuid.UUID | None = Field(None, description="The `last_id` of the page before.")
    limit: int = Field(20, ge=1, le=1000, description="Longest page.")


class Conversation(BaseModel):
    """Exchanges that continue each other."""

    object: Literal["conversation"]
    id: str = Field(description="That of the exchange with which it began.")
    last_id: str = Field(description="The latest of its exchanges.")
    started_at: str | None = Field(
        description="RFC 3339, UTC; null where the first exchange is no longer kept."
    )
    title: str | None = Field(description="What was said first; null where that is no longer kept.")
    name: str | None = Field(description="The client's name for it, by `x-verbatim-conversation`.")
    project: str
    exchanges: int
    model: str | None
    upstream: str | None
    user: str | None
    key: str | None


class ConversationList(BaseModel):
    """A page."""

    object: Literal["list"]
    data: list[Conversation]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Chunk(BaseModel):
    """One piece of the answer."""

    offset_ms: float = Field(description="Milliseconds after the exchange began.")
    size_bytes: int


class ChunkList(BaseModel):
    """When each piece of the answer arrived."""

    object: Literal["list"]
    data: list[Chunk]
    has_more: Literal[False]


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


class ErrorBody(BaseModel):
    """What is wrong."""

    message: str
    type: Literal["verbatim_error"]
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """Every error."""

    error: ErrorBody
