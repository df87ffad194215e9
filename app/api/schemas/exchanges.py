"""Exchanges, what was said in them, and the pieces of their answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


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
        description="For the `after` of the next page; where looking took too long, how far it came."
    )
    has_more: bool
    incomplete: bool = Field(
        description="Looking took too long and gives what it found; more may follow `last_id`."
    )
    total: int | None = Field(
        None,
        description="With `count`: how many there are on all pages, at most 10,000; null where counting takes too "
        "long.",
    )
    total_is_capped: bool | None = Field(None, description="With `count`: there are more than `total`.")


class Chunk(BaseModel):
    """One piece of the answer."""

    offset_ms: float = Field(description="Milliseconds after the exchange began.")
    size_bytes: int


class ChunkList(BaseModel):
    """When each piece of the answer arrived."""

    object: Literal["list"]
    data: list[Chunk]
    has_more: Literal[False]
