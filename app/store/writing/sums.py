"""Sums of exchanges: as rows, in the order of the parameters of sums.sql, and added to the store."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from app.store.database.periods import week_of_day
from app.store.database.writer import check_writer
from app.store.statements import statements
from app.store.sums.histogram import packed
from app.store.writing.record import Record
from app.store.writing.rows import Placed, columns

if TYPE_CHECKING:
    from app.store.database.pool import Connection

KEYS = {
    "add_hourly": 7,
    "add_daily": 7,
    "add_daily_models": 6,
    "add_hourly_routes": 5,
    "add_daily_users": 4,
    "add_daily_tags": 4,
    "add_weekly": 4,
}
"""Statements that add sums, in the order in which all transactions use them, and how many columns their keys have.

Rows of weeks come last: most transactions want them, and wait until the one that has them is over.
"""
FAILED = 400
ENDED_WELL = ("completed", "client_left")
SumRows = dict[str, list[tuple[Any, ...]]]
"""Rows by statement, in the order of their keys."""


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
    @property
    def tags(self) -> Mapping[str, str]: ...


def hour_key(project_id: int, it: Summed) -> tuple[Any, ...]:
    """The key of usage_hourly."""
    hour = it.started_at.replace(minute=0, second=0, microsecond=0)
    status_class = it.status // 100 if it.status is not None else 0
    return (project_id, hour, _model(it), it.route, it.key or "", status_class, it.outcome)


def user_keys(project_id: int, it: Summed) -> list[tuple[Any, ...]]:
    """Keys of usage_daily_users: one, or none where no user is known."""
    return [] if it.user is None else [(project_id, it.started_at.date(), it.user, _model(it))]


def tag_keys(project_id: int, it: Summed) -> list[tuple[Any, ...]]:
    """Keys of usage_daily_tags."""
    day = it.started_at.date()
    return [(project_id, day, name, value) for name, value in it.tags.items()]


def _model(it: Summed) -> str:
    """The model asked for; what reads an answer that was made before names only the model served."""
    return it.model or it.model_served or ""


def sum_rows(placed: Sequence[Placed]) -> SumRows:
    """All sums that exchanges are in."""
    by_hour = _grouped(placed, lambda project_id, it: [hour_key(project_id, it)])
    by_user = _grouped(placed, user_keys)
    by_tag = _grouped(placed, tag_keys)
    return {
        **hourly_sums([(*key, *_sums(them), *_times(them)) for key, them in by_hour]),
        "add_daily_users": [(*key, *_sums(them)) for key, them in by_user],
        "add_daily_tags": [(*key, *_sums(them), _errors(them), *_times(them)) for key, them in by_tag],
    }


async def add_sums(connection: Connection, sums: SumRows) -> None:
    """Adds them to what the store has; raises StoreMisconfiguredError where a newer Verbatim keeps more of them.

    That is asked last: a migration to more of them waits for those that are written, or is seen here.
    """
    for statement in KEYS:
        if rows := sums.get(statement):
            await connection.execute(statements("sums")[statement], *columns(rows))
    await check_writer(connection)


def corrections(before: SumRows, after: SumRows) -> SumRows:
    """What turns sums into others: nothing for those that stay the same."""
    found = {}
    for statement, keys in KEYS.items():
        taken = [(row[:keys], [_undone(each) for each in row[keys:]]) for row in before[statement]]
        given = [(row[:keys], row[keys:]) for row in after[statement]]
        found[statement] = [row for row in _folded([*taken, *given]) if any(map(_counts, row[keys:]))]
    return found


def _undone(sum_: Any) -> Any:
    """Histograms are texts of numbers."""
    return f"-{sum_}" if isinstance(sum_, str) else -sum_


def _counts(sum_: Any) -> bool:
    return bool(int(sum_) if isinstance(sum_, str) else sum_)


def hourly_sums(hourly: list[tuple[Any, ...]]) -> SumRows:
    """What follows from rows for add_hourly: the same of days and weeks, and without key, or model and key."""
    keys = KEYS["add_hourly"]
    days = _folded(((row[0], row[1].date(), *row[2:keys]), row[keys:]) for row in hourly)
    models = _folded(((*row[:4], *row[5:keys]), row[keys:]) for row in days)
    weeks = _folded(((row[0], week_of_day(row[1]), row[2], row[4]), _with_errors(row)) for row in days)
    routes = _folded(((*row[:2], row[3], *row[5:keys]), row[keys:]) for row in hourly)
    return {
        "add_hourly": hourly,
        "add_daily": days,
        "add_weekly": weeks,
        "add_daily_models": models,
        "add_hourly_routes": routes,
    }


def _grouped(
    placed: Iterable[Placed], keys_of: Callable[[int, Record], list[tuple[Any, ...]]]
) -> list[tuple[tuple[Any, ...], list[Record]]]:
    """Exchanges by key, in the order of the keys."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for each in placed:
        for key in keys_of(each.project_id, each.record):
            groups.setdefault(key, []).append(each.record)
    return [(key, groups[key]) for key in sorted(groups)]


def _folded(rows: Iterable[tuple[tuple[Any, ...], Sequence[Any]]]) -> list[tuple[Any, ...]]:
    """Sums of the same key added up."""
    sums: dict[tuple[Any, ...], Sequence[Any]] = {}
    for key, row in rows:
        known = sums.get(key)
        sums[key] = row if known is None else _added(known, row)
    return [(*key, *sums[key]) for key in sorted(sums)]


def _added(sums: Sequence[Any], more: Sequence[Any]) -> list[Any]:
    """Histograms are texts of numbers."""
    return [str(int(a) + int(b)) if isinstance(a, str) else a + b for a, b in zip(sums, more, strict=True)]


def _with_errors(day: Sequence[Any]) -> Sequence[Any]:
    """What a row for add_daily counts, with errors before the times."""
    *_, status_class, outcome = day[: KEYS["add_daily"]]
    counts = day[KEYS["add_daily"] :]
    has_failed = status_class >= FAILED // 100 or outcome not in ENDED_WELL
    return (*counts[:-2], counts[0] if has_failed else 0, *counts[-2:])


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


def _errors(records: Sequence[Record]) -> int:
    """As `errors` of stats.sql counts them."""
    return sum((r.status or 0) >= FAILED or r.outcome not in ENDED_WELL for r in records)


def _times(records: Sequence[Record]) -> tuple[str, str]:
    """Histograms of durations and of times to the first byte."""
    ttfts = [r.ttft_us for r in records if r.ttft_us is not None]
    return packed([r.duration_us for r in records]), packed(ttfts)
