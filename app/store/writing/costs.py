"""Costs of exchanges that are recorded: read page by page, and set anew together with the sums they are in."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from app.store.database.pool import Pool
from app.store.filters.filter import Filter
from app.store.statements import statements
from app.store.writing.counted import REPEATED
from app.store.writing.rows import columns
from app.store.writing.sums import SumRows, add_sums, hour_key, hourly_sums, tag_keys, user_keys
from app.store.writing.tags import only_summed

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

NO_HISTOGRAM = "0"


@dataclass(frozen=True, slots=True)
class CostedExchange:
    """An exchange whose usage is counted, with what its cost depends on."""

    id: uuid.UUID
    project_id: int
    started_at: datetime.datetime
    authority: str
    upstream: str
    path: str
    route: str
    model: str | None
    model_served: str | None
    service_tier: str | None
    key: str | None
    status: int | None
    outcome: str
    user: str | None
    tags: dict[str, str]
    usage: str
    """The provider's usage object as JSON text."""
    cost: decimal.Decimal | None
    price_version: str | None
    cost_status: str | None


@dataclass(frozen=True, slots=True)
class NewCost:
    """What an exchange is found to cost."""

    exchange: CostedExchange
    cost: decimal.Decimal | None
    price_version: str | None
    cost_status: str | None

    @property
    def dollars_more(self) -> decimal.Decimal:
        """By how much sums grow."""
        return (self.cost or decimal.Decimal(0)) - (self.exchange.cost or decimal.Decimal(0))

    @property
    def unpriced_more(self) -> int:
        """By how much the number of usages without a cost grows; -1, 0 or 1."""
        old = self.exchange
        was = old.cost_status is not None and old.cost is None
        return int(self.cost_status is not None and self.cost is None) - int(was)


class Costs:
    """Reads and sets costs in one database; its errors are StoreErrors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("costs")

    async def page(self, wanted: Filter, after: uuid.UUID | None, limit: int) -> list[CostedExchange]:
        """The exchanges of the filter's time that follow `after`, oldest first."""
        low, high = wanted.bounds(after, "asc")
        async with self._pool.transaction(readonly=True) as connection:
            rows = await connection.fetch(self._sql["costed"], low, high, limit, REPEATED)
        return [_costed(row) for row in rows]

    async def set(self, new: Sequence[NewCost]) -> list[NewCost]:
        """Sets costs, and brings the sums along, in one transaction; gives those that were as they had been read."""
        if not new:
            return []
        ordered = sorted(new, key=lambda each: (each.exchange.project_id, each.exchange.id))
        ids = [each.exchange.id for each in ordered]
        async with self._pool.transaction() as connection:
            rows = [_row(each) for each in ordered]
            found = await connection.fetch(self._sql["set_costs"], min(ids), max(ids), *columns(rows))
            done = {row["id"] for row in found}
            changed = [each for each in ordered if each.exchange.id in done]
            await _add_to_sums(connection, changed)
        return changed


def _costed(row: asyncpg.Record) -> CostedExchange:
    values = {("user" if name == "end_user" else name): value for name, value in row.items()}
    return CostedExchange(**{**values, "tags": msgspec.json.decode(row["tags"], type=dict[str, str])})


def _row(new: NewCost) -> tuple[Any, ...]:
    old = new.exchange
    return (
        *(old.project_id, old.id, new.cost, new.price_version, new.cost_status),
        *(old.cost, old.cost_status),
    )


async def _add_to_sums(connection: Connection, changed: Sequence[NewCost]) -> None:
    """The statements of a batch, with nothing but money in their rows."""
    no_times = (NO_HISTOGRAM, NO_HISTOGRAM)
    hourly = [(*key, *grown, *no_times) for key, grown in _grown(changed, _hour_keys)]
    tags = [(*key, *grown, 0, *no_times) for key, grown in _grown(changed, tag_keys)]
    sums: SumRows = {
        **hourly_sums(hourly),
        "add_daily_users": [(*key, *grown) for key, grown in _grown(changed, user_keys)],
        "add_daily_tags": await only_summed(connection, tags),
    }
    await add_sums(connection, sums)


def _hour_keys(project_id: int, exchange: CostedExchange) -> list[tuple[Any, ...]]:
    return [hour_key(project_id, exchange)]


def _grown(
    changed: Iterable[NewCost], keys_of: Callable[[int, CostedExchange], list[tuple[Any, ...]]]
) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """By how much each sum grows, in the order of the keys; exchanges, bytes and tokens stay as they are."""
    grown: dict[tuple[Any, ...], tuple[decimal.Decimal, int]] = {}
    for each in changed:
        for key in keys_of(each.exchange.project_id, each.exchange):
            dollars, unpriced = grown.get(key, (decimal.Decimal(0), 0))
            grown[key] = (dollars + each.dollars_more, unpriced + each.unpriced_more)
    return [(key, (0, 0, 0, 0, 0, 0, 0, *grown[key])) for key in sorted(grown)]
