"""Records as rows, in the order of the parameters of ingest.sql; pure."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Any, Protocol

import msgspec
from asyncpg.pgproto import pgproto

from app.frozen import value
from app.store.database.periods import week_of_id
from app.store.sums.histogram import packed
from app.store.writing.record import Record, SegmentAccount

HOUR_KEYS, USER_KEYS = 7, 4
"""Columns of the keys of sums."""


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


class Summed(Protocol):
    """What says in which sums an exchange is."""

    @property
    def started_at(self) -> datetime.datetime: ...
    @property
    def model(self) -> str | None: ...
    @property
    def model_served(self) -> str | None: ...
    @property
    def route(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def status(self) -> int | None: ...
    @property
    def outcome(self) -> str: ...
    @property
    def user(self) -> str | None: ...


def hour_key(project_id: int, it: Summed) -> tuple[Any, ...]:
    """The key of usage_hourly."""
    hour = it.started_at.replace(minute=0, second=0, microsecond=0)
    status_class = it.status // 100 if it.status is not None else 0
    return (project_id, hour, _model(it), it.route, it.key or "", status_class, it.outcome)


def user_key(project_id: int, it: Summed) -> tuple[Any, ...]:
    """The key of usage_daily_users; of exchanges that have a user."""
    return (project_id, it.started_at.date(), it.user, _model(it))


def _model(it: Summed) -> str:
    """The model asked for; what reads an answer that was made before names only the model served."""
    return it.model or it.model_served or ""


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


def hourly_rows(placed: Iterable[Placed]) -> list[tuple[Any, ...]]:
    """Rows for add_hourly, in the order of their key."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for each in placed:
        groups.setdefault(hour_key(each.project_id, each.record), []).append(each.record)
    return [
        (
            *key,
            *_sums(groups[key]),
            packed([r.duration_us for r in groups[key]]),
            packed([r.ttft_us for r in groups[key] if r.ttft_us is not None]),
        )
        for key in sorted(groups)
    ]


def daily_rows(hourly: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows for add_daily, in the order of their key, from rows for add_hourly."""
    days: dict[tuple[Any, ...], Sequence[Any]] = {}
    for row in hourly:
        key = (row[0], row[1].date(), *row[2:HOUR_KEYS])
        known = days.get(key)
        days[key] = row[HOUR_KEYS:] if known is None else _added(known, row[HOUR_KEYS:])
    return [(*key, *days[key]) for key in sorted(days)]


def daily_user_rows(placed: Iterable[Placed]) -> list[tuple[Any, ...]]:
    """Rows for add_daily_users, in the order of their key; exchanges without a user are in none."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for each in placed:
        if each.record.user is not None:
            groups.setdefault(user_key(each.project_id, each.record), []).append(each.record)
    return [(*key, *_sums(groups[key])) for key in sorted(groups)]


def _added(sums: Sequence[Any], more: Sequence[Any]) -> list[Any]:
    """Histograms are texts of numbers."""
    return [str(int(a) + int(b)) if isinstance(a, str) else a + b for a, b in zip(sums, more, strict=True)]


def _sums(records: Sequence[Record]) -> tuple[Any, ...]:
    """Exchanges, bytes of both bodies, tokens, dollars, and usages without a price; what is unknown adds nothing."""
    return (
        len(records),
        sum(r.request_bytes for r in records),
        sum(r.response_bytes for r in records),
        sum(r.usage.input_tokens or 0 for r in records),
        sum(r.usage.cached_tokens or 0 for r in records),
        sum(r.usage.output_tokens or 0 for r in records),
        sum(r.usage.reasoning_tokens or 0 for r in records),
        sum((r.usage.cost for r in records if r.usage.cost is not None), decimal.Decimal(0)),
        sum(r.usage.cost_status is not None and r.usage.cost is None for r in records),
    )
