"""What reading gives: rows as values. Their names are the columns' (`user` is `end_user`)."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.exchange import KeptHeaders
from app.store.search.snippets import Snippet


@dataclass(frozen=True, slots=True)
class StoredExchange:
    """One exchange as the store has it; times are aware, in UTC, durations in microseconds, money in US dollars."""

    id: uuid.UUID
    project: str
    started_at: datetime.datetime
    recorded_at: datetime.datetime
    duration_us: int
    ttft_us: int | None
    method: str
    path: str
    query: str
    route: str
    upstream: str
    authority: str
    http_version: str
    model: str | None
    model_served: str | None
    status: int | None
    outcome: str
    reason: str | None
    detail: str | None
    stream: bool
    request_bytes: int
    response_bytes: int
    request_sha256: bytes | None
    response_sha256: bytes | None
    request_complete: bool
    request_content_type: str | None
    request_content_encoding: str | None
    response_content_type: str | None
    response_content_encoding: str | None
    upstream_id: str | None
    finish_reason: str | None
    service_tier: str | None
    error_type: str | None
    error_code: str | None
    usage: str | None
    """The provider's usage object as JSON text."""
    usage_source: str
    input_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    total_tokens: int | None
    input_audio_tokens: int | None
    output_audio_tokens: int | None
    input_image_tokens: int | None
    output_image_tokens: int | None
    cost: decimal.Decimal | None
    price_version: str | None
    cost_status: str | None
    user: str | None
    key: str | None
    key_tail: str | None
    conversation: str | None
    conversation_id: uuid.UUID | None
    parent_id: uuid.UUID | None
    """The exchange that it continues."""
    joined_by: str | None
    tags: dict[str, str]
    retry_count: int
    capture_status: str
    log_mode: str
    recorder_id: uuid.UUID
    boot: str
    slot: int
    accept_number: int
    request_preview: str | None
    response_preview: str | None
    metadata: str | None = None
    """What was set through OpenAI's read API, as JSON text; None: as the request had it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some exchanges in order; the next page follows the last one's id."""

    exchanges: list[StoredExchange]
    has_more: bool
    snippets: Mapping[uuid.UUID, Sequence[Snippet]] | None = None
    """Where words were said; None where none were looked for."""
    resume_after: uuid.UUID | None = None
    """Looking took too long: the next page follows this id, and all before was looked at."""


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """Exchanges that continue each other; how they began is unknown where the first one is no longer kept."""

    id: uuid.UUID
    project_id: int
    project: str
    last_id: uuid.UUID
    """The latest of its exchanges."""
    exchanges: int
    name: str | None
    """The client's name for it."""
    title: str | None
    """What was said first."""
    started_at: datetime.datetime | None
    last_at: datetime.datetime | None
    """When the latest of its exchanges began."""
    model: str | None
    upstream: str | None
    user: str | None
    key: str | None
    models: list[str] | None
    """All that were asked, by name. These and the sums are None where too many exchanges would have to be read."""
    input_tokens: int | None
    output_tokens: int | None
    cost: decimal.Decimal | None
    unpriced: int | None
    """Exchanges whose usage is known and whose cost is not."""


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Some conversations in the order in which they began; the next page follows the last one's id."""

    conversations: list[StoredConversation]
    has_more: bool
    resume_after: uuid.UUID | None = None
    """Looking took too long: the next page follows this id, and all before was looked at."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time by the database's clock, and the first transaction that had not begun then."""

    now: datetime.datetime
    next: int


@dataclass(frozen=True, slots=True)
class StoredHeaders:
    """Header lists of both heads; no response where none came."""

    request: KeptHeaders
    response: KeptHeaders | None
    trailers: KeptHeaders


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """What a recorder last said of itself."""

    id: uuid.UUID
    host: str
    version: str
    started_at: datetime.datetime
    last_seen: datetime.datetime
    lag_seconds: float
    journal_bytes: int
    silent_seconds: float
    """Time since it was last seen, by the database's clock."""


@dataclass(frozen=True, slots=True)
class Account:
    """Sums over segments that were let go."""

    segments: int = 0
    first_accept_number: int | None = None
    last_accept_number: int | None = None
    recorded: int = 0
    off: int = 0
    quarantined: int = 0
    expired: int = 0
    erased: int = 0
    dropped: int = 0
    damaged_bytes: int = 0
    torn_bytes: int = 0
