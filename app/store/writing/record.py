"""What the store takes: one exchange with its meaning and its bytes, made by the recorder."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Protocol

from app.exchange import KeptHeaders, Slice
from app.frozen import value

SLICE_BYTES = 4 << 20
"""Longest slice of a body that is kept as one piece."""


class BodySource(Protocol):
    """The exact bytes of one body, held in memory or re-read from the journal at each call."""

    @property
    def length_bytes(self) -> int:
        """Bytes in all."""

    @property
    def sha256(self) -> bytes:
        """SHA-256 of all bytes, 32 bytes."""

    def slices(self) -> Iterable[bytes]:
        """The bytes in order, each slice but the last SLICE_BYTES long; none where the body is empty."""


@value
class ChunkTime:
    """When one piece of the answer arrived."""

    offset_us: int
    """Microseconds after the exchange began."""
    size_bytes: int


@value
class Content:
    """What `LOG=full` keeps beyond the row in `exchanges`."""

    request_headers: KeptHeaders
    response_headers: KeptHeaders | None
    trailers: KeptHeaders
    request_body: BodySource | None
    """None where the route carries secrets in bodies; then length and digest are unknown too."""
    response_body: BodySource | None
    chunk_times: list[ChunkTime]
    request_preview: str | None
    response_preview: str | None
    facts: str | None = None
    """JSON text, safe for jsonb; written by a later decoder."""
    request_cut: Sequence[Slice] | None = None
    """Where the request's body is cut; None where it is kept whole."""
    said: Sequence[str] = ()
    """What was said, a text a message, to be searched (decode/said.py)."""


@value
class Usage:
    """Token counts as reported, and what they cost; None is unknown, never zero."""

    verbatim: str | None = None
    """The provider's usage object as JSON text, safe for jsonb."""
    source: str = "absent"
    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    cost: decimal.Decimal | None = None
    """US dollars."""
    price_version: str | None = None
    cost_status: str | None = None
    """`priced`, or why there is no cost; None where no usage is known."""
    counted_object: bytes | None = None
    """SHA-256 of the id of a background response, run or batch, whose usage counts on one exchange alone."""


@value
class Held:
    """An answer of a model's that a request holds; keys are 16 bytes."""

    link_key: bytes
    """The first half of the answer with what it answered, the other of all the talk up to it."""
    node: bytes
    """Of all turns up to it."""
    turns: int
    """How many these are."""
    messages: int
    """How many messages, which may be more."""


@value
class Talk:
    """What was said as keys, and what joins an exchange to others (decode/identity.py, decode/lineage.py)."""

    is_talk: bool = False
    """It is a conversation even where nothing else belongs to it."""
    roles: str = ""
    """A letter a turn; those of the request, then of the answer."""
    kinds: str = ""
    content_keys: bytes = b""
    """16 bytes a turn."""
    tip: bytes | None = None
    """The key of all turns, 16 bytes."""
    held: Sequence[Held] = ()
    """The last first."""
    answer_keys: Sequence[bytes] = ()
    """Link keys of what was answered, one a choice."""
    response: str | None = None
    """The upstream's id of the answer that it goes on from, or reads again."""
    conversation: str | None = None
    """The provider's name for the conversation."""


@value
class Record:
    """One exchange as it is written; text is free of NUL and lone surrogates, times are aware UTC datetimes."""

    id: bytes
    """UUIDv7, 16 bytes; partition and week follow from it."""
    project: str
    boot: str
    slot: int
    accept_number: int
    started_at: datetime.datetime
    duration_us: int
    ttft_us: int | None
    """Microseconds from the beginning to the first byte of the answer's body."""
    method: str
    path: str
    query: str
    route: str
    upstream: str
    authority: str
    http_version: str
    outcome: str
    capture_status: str
    log_mode: str
    stream: bool
    request_bytes: int
    response_bytes: int
    request_complete: bool
    reason: str | None = None
    detail: str | None = None
    status: int | None = None
    request_sha256: bytes | None = None
    response_sha256: bytes | None = None
    request_content_type: str | None = None
    request_content_encoding: str | None = None
    response_content_type: str | None = None
    response_content_encoding: str | None = None
    model: str | None = None
    """The model asked for."""
    model_served: str | None = None
    upstream_id: str | None = None
    finish_reason: str | None = None
    service_tier: str | None = None
    error_type: str | None = None
    error_code: str | None = None
    usage: Usage = field(default_factory=Usage)
    user: str | None = None
    key: str | None = None
    key_tail: str | None = None
    conversation: str | None = None
    """The name a client gave by x-verbatim-conversation."""
    tags: dict[str, str] = field(default_factory=dict)
    retry_count: int = 0
    talk: Talk | None = None
    """None where nothing that was said is kept."""
    content: Content | None = None
    """None where only metadata is kept."""


@value
class SegmentAccount:
    """What became of the exchanges that began in one segment; one row in `segments` when it is let go."""

    boot: str
    slot: int
    counter: int
    first_accept_number: int | None
    last_accept_number: int | None
    recorded: int = 0
    off: int = 0
    quarantined: int = 0
    expired: int = 0
    erased: int = 0
    dropped: int = 0
    carried: int = 0
    damaged_bytes: int = 0
    torn_bytes: int = 0


@value
class Delivered:
    """What a committed batch did, by exchange id; ids in none of the three were there before (a replay)."""

    recorded: frozenset[bytes]
    erased: frozenset[bytes]
    expired: frozenset[bytes]
    stored_whole: int = 0
    """Bodies that could be cut, but whose slices would not have given them back."""
