"""Records as rows, in the order of the parameters of ingest.sql; pure."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Any

import msgspec
from asyncpg.pgproto import pgproto

from app.frozen import value
from app.store.database.periods import week_of_id
from app.store.writing.record import Record, SegmentAccount


@value
class Join:
    """Where an exchange stands in a conversation."""

    conversation_id: uuid.UUID | None = None
    """None for what is no talk and names none."""
    parent_id: uuid.UUID | None = None
    """The exchange that it continues."""
    joined_by: str | None = None
    """`answer`, `response`, `repeat` or `name`; None where it begins a conversation."""
    wanted: bytes | None = None
    """The link key of an answer that it holds and nobody gave yet."""


@value
class Placed:
    """A record with the number of its project, and where it stands."""

    record: Record
    project_id: int
    join: Join = field(default_factory=Join)

    @property
    def week(self) -> datetime.date:
        """The Monday of the week in which the exchange began, by its id."""
        return week_of_id(self.record.id)


def uuid_of(exchange_id: bytes) -> uuid.UUID:
    """An id as asyncpg has it: made in a tenth of the time, and equal to any other."""
    return pgproto.UUID(exchange_id)


def columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows turned into one array a column, as `unnest` takes them; it fills up an array that is too short with NULL.

    So a column of nothing but NULL is an empty array: what is not there is not looked at value by value.
    """
    return [[] if column.count(None) == len(column) else list(column) for column in zip(*rows, strict=True)]


def exchange_row(placed: Placed, recorder_id: uuid.UUID) -> tuple[Any, ...]:
    """A row for insert_exchanges."""
    r = placed.record
    u = r.usage
    j = placed.join
    return (
        *(placed.project_id, uuid_of(r.id), placed.week, r.started_at, r.duration_us, r.ttft_us),
        *(r.method, r.path, r.query, r.route, r.upstream, r.authority, r.http_version),
        *(r.model, r.model_served, r.status, r.outcome, r.reason, r.detail, r.stream),
        *(r.request_bytes, r.response_bytes, r.request_sha256, r.response_sha256, r.request_complete),
        *(r.request_content_type, r.request_content_encoding),
        *(r.response_content_type, r.response_content_encoding, r.upstream_id),
        *(r.finish_reason, r.service_tier, r.error_type, r.error_code, u.verbatim, u.source),
        *(u.input_tokens, u.cached_tokens, u.cache_write_tokens),
        *(u.output_tokens, u.reasoning_tokens, u.total_tokens),
        *(r.user, r.key, r.key_tail, r.conversation, msgspec.json.encode(r.tags).decode(), r.retry_count),
        *(r.capture_status, r.log_mode, recorder_id, r.boot, r.slot, r.accept_number),
        *(u.input_audio_tokens, u.output_audio_tokens, u.input_image_tokens, u.output_image_tokens),
        *(u.cost, u.price_version, u.cost_status),
        r.talk.answer_keys[0] if r.talk is not None and r.talk.answer_keys else None,
        *(j.conversation_id, j.parent_id, j.joined_by),
    )


def segment_row(account: SegmentAccount, recorder_id: uuid.UUID) -> tuple[Any, ...]:
    """A row for insert_segments."""
    a = account
    return (
        *(a.boot, a.slot, a.counter, recorder_id, a.first_accept_number, a.last_accept_number),
        *(a.recorded, a.off, a.quarantined, a.expired, a.erased, a.dropped, a.carried),
        *(a.damaged_bytes, a.torn_bytes),
    )
