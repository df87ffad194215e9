"""Works out the costs of recorded exchanges again, from the usage that was kept and the prices of today."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from decimal import Decimal

from app.decode.jsonsafe import as_dict, read_json
from app.decode.usage import Usage, read_counts
from app.recorder.prices import PricedCall, Prices
from app.store.filters.filter import Filter
from app.store.writing.costs import CostedExchange, Costs, NewCost

PAGE_ROWS = 1_000
DAY = datetime.timedelta(days=1)
MOST_MODELS = 200
OTHER_MODELS = "(others)"
DEFAULT_UPSTREAM = "v1"


@dataclass(slots=True)
class Tally:
    """What changed for one model."""

    exchanges: int = 0
    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)


@dataclass(slots=True)
class Recosted:
    """What a run has done so far."""

    looked_at: int = 0
    changed: int = 0
    gained: int = 0
    """Had no cost, and has one now."""
    lost: int = 0
    """Had a cost, and has none now."""
    before: Decimal = Decimal(0)
    """Dollars of all that was looked at."""
    after: Decimal = Decimal(0)
    until: datetime.datetime | None = None
    """All before was looked at; a run that is stopped goes on from there."""
    models: dict[str, Tally] = field(default_factory=dict)
    """Of what changed, by the model asked for."""

    def add(self, new: NewCost) -> None:
        """Counts one exchange whose cost changed."""
        old = new.exchange
        self.changed += 1
        self.gained += old.cost is None and new.cost is not None
        self.lost += old.cost is not None and new.cost is None
        self.after += new.dollars_more
        name = old.model or old.model_served or ""
        if name not in self.models and len(self.models) >= MOST_MODELS:
            name = OTHER_MODELS
        tally = self.models.setdefault(name, Tally())
        tally.exchanges += 1
        tally.before += old.cost or 0
        tally.after += new.cost or 0


async def recost(
    costs: Costs, prices: Prices, since: datetime.datetime, until: datetime.datetime, *, dry_run: bool = False
) -> AsyncGenerator[Recosted, None]:
    """Works through exchanges begun from `since` to before `until`, oldest first, and tells after each page how far it
    is; `dry_run` sets nothing.

    One page is in memory, and no query reads more than a day. An exchange whose cost is right already is left alone, so
    a run may be stopped and begun again. What another exchange is billed for stays without a cost.
    """
    done = Recosted()
    begin = since
    while begin < until:
        end = min(begin + DAY, until)
        after: uuid.UUID | None = None
        while page := await costs.page(Filter(since=begin, until=end), after, PAGE_ROWS):
            after = page[-1].id
            await _recost_page(costs, prices, page, done, dry_run=dry_run)
            yield done
        begin = done.until = end
        yield done


async def _recost_page(
    costs: Costs, prices: Prices, page: list[CostedExchange], done: Recosted, *, dry_run: bool
) -> None:
    changed = [new for each in page if (new := new_cost(each, prices)) is not None]
    if not dry_run:
        changed = await costs.set(changed)
    old = sum((each.cost for each in page if each.cost is not None), Decimal(0))
    done.before += old
    done.after += old
    for new in changed:
        done.add(new)
    done.looked_at += len(page)
    done.until = page[-1].started_at


def new_cost(exchange: CostedExchange, prices: Prices) -> NewCost | None:
    """What an exchange costs by these prices; None where that is what it costs already."""
    usage = _usage(exchange)
    call = PricedCall(
        url=exchange.authority + _upstream_path(exchange),
        route=exchange.route,
        model_asked=exchange.model,
        model_served=exchange.model_served,
        service_tier=exchange.service_tier,
        started_at=exchange.started_at,
    )
    cost = prices.cost(call, usage)
    if cost.dollars == exchange.cost and cost.status == exchange.cost_status:
        return None
    return NewCost(exchange, cost.dollars, cost.price_version, cost.status)


def _usage(exchange: CostedExchange) -> Usage:
    fields = as_dict(read_json(exchange.usage.encode(), set()))
    return read_counts(fields) if fields else Usage()


def _upstream_path(exchange: CostedExchange) -> str:
    path = exchange.path
    return path if exchange.upstream == DEFAULT_UPSTREAM else path.removeprefix("/" + exchange.upstream)
