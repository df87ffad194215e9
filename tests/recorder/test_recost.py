"""Costs worked out again: what changes, in exchanges and sums alike, and what does not."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from decimal import Decimal

import pytest

from app.clock import utc_now
from app.recorder.price_file import parse_prices
from app.recorder.prices import Prices
from app.recorder.recost import Recosted, recost
from app.store.database.pool import Pool
from app.store.writing.costs import Costs
from app.store.writing.record import Record
from tests.recorder.test_counted_once import ask, created, exchange, polled, pool, recorder, response
from tests.store.sums.test_groups import ROUTES_THAT_DIFFER, TAGS_THAT_DIFFER

__all__ = ["ask", "pool"]

OWN = b"""
[[prices]]
model = "house*"
input_tokens = 1
output_tokens = 2
"""
DEARER = (
    OWN
    + b"""
[[prices]]
model = "gpt-5*"
input_tokens = 100
output_tokens = 100
"""
)
TAGS = {"team": "red"}
PAST = utc_now() - datetime.timedelta(days=9)
FUTURE = utc_now() + datetime.timedelta(days=2)
SUMS_AGREE = """
SELECT trim_scale(coalesce(sum(cost), 0)) = (SELECT trim_scale(sum(cost)) FROM usage_hourly),
    count(*) FILTER (WHERE cost_status IN ('unpriced', 'unknown_model', 'unknown_upstream'))
        = (SELECT sum(unpriced) FROM usage_hourly),
    (SELECT trim_scale(coalesce(sum(cost), 0)) FROM exchanges WHERE end_user IS NOT NULL)
        = (SELECT trim_scale(coalesce(sum(cost), 0)) FROM usage_daily_users),
    count(*) = (SELECT sum(exchanges) FROM usage_hourly),
    coalesce(sum(input_tokens), 0) = (SELECT sum(input_tokens) FROM usage_hourly),
    (SELECT trim_scale(sum(cost)) || ' ' || sum(unpriced) FROM usage_hourly)
        = (SELECT trim_scale(sum(cost)) || ' ' || sum(unpriced) FROM usage_daily)
FROM exchanges
"""


def asked(model: str = "gpt-5", **changes: object) -> Record:
    return exchange(
        "POST",
        "/v1/responses",
        response("completed", background=False, model=model),
        {"model": model},
        **changes,
    )


def prices(content: bytes) -> Prices:
    return Prices(parse_prices(content, "prices.toml"))


async def run(
    pool: Pool,
    by: Prices,
    since: datetime.datetime = PAST,
    until: datetime.datetime = FUTURE,
    *,
    dry_run: bool = False,
) -> Recosted:
    done = Recosted()
    async for page in recost(Costs(pool), by, since, until, dry_run=dry_run):
        done = page
    return done


async def test_new_prices_change_exchanges_and_sums_alike(pool: Pool, ask: Callable[[str], str]) -> None:
    await recorder(pool).deliver(
        [asked(), asked("house-7b", user="ann", tags=TAGS), asked("house-7b"), created(), polled(), polled()]
    )
    assert ask(SUMS_AGREE) == "t|t|t|t|t|t"
    done = await run(pool, prices(OWN))
    assert (done.looked_at, done.changed, done.gained, done.lost) == (4, 2, 2, 0)
    # twice 80 * 1 + 100 * 2, by the million, beside two gpt-5
    assert (done.before, done.after) == (Decimal("0.0022"), Decimal("0.00276"))
    assert {name: (each.exchanges, each.before, each.after) for name, each in done.models.items()} == {
        "house-7b": (2, Decimal(0), Decimal("0.00056"))
    }
    assert ask(SUMS_AGREE) == "t|t|t|t|t|t"
    assert (ask(ROUTES_THAT_DIFFER), ask(TAGS_THAT_DIFFER)) == ("0", "0")
    assert ask("SELECT name, value, cost, unpriced FROM usage_daily_tags") == "team|red|0.00028|0"
    assert ask("SELECT cost, cost_status, price_version ~ '^own ' FROM exchanges WHERE end_user = 'ann'") == (
        "0.00028|priced|t"
    )
    assert ask("SELECT count(*) FROM exchanges WHERE cost_status = 'repeated' AND cost IS NULL") == "1"


async def test_a_dry_run_says_the_same_and_changes_nothing(pool: Pool, ask: Callable[[str], str]) -> None:
    await recorder(pool).deliver([asked(), asked("house-7b", user="ann")])
    before = ask("TABLE exchanges"), ask("TABLE usage_hourly"), ask("TABLE usage_daily_users")
    tried = await run(pool, prices(DEARER), dry_run=True)
    assert (ask("TABLE exchanges"), ask("TABLE usage_hourly"), ask("TABLE usage_daily_users")) == before
    done = await run(pool, prices(DEARER))
    assert done == tried
    assert done.changed == 2


async def test_a_second_run_changes_nothing(pool: Pool, ask: Callable[[str], str]) -> None:
    await recorder(pool).deliver([asked(), asked("house-7b")])
    assert (await run(pool, prices(DEARER))).changed == 2
    again = await run(pool, prices(DEARER))
    assert (again.looked_at, again.changed, again.before) == (2, 0, again.after)
    assert ask(SUMS_AGREE) == "t|t|t|t|t|t"


async def test_a_price_that_is_gone_takes_its_cost_along(pool: Pool, ask: Callable[[str], str]) -> None:
    await recorder(pool).deliver([asked("house-7b", user="ann")])
    await run(pool, prices(OWN))
    done = await run(pool, Prices())
    assert (done.changed, done.lost, done.after) == (1, 1, Decimal(0))
    assert (
        ask("SELECT cost IS NULL, price_version IS NULL, cost_status FROM exchanges") == "t|t|unknown_model"
    )
    assert ask(SUMS_AGREE) == "t|t|t|t|t|t"


async def test_two_runs_at_once_correct_the_sums_once(pool: Pool, ask: Callable[[str], str]) -> None:
    await recorder(pool).deliver(
        [asked("house-7b" if each % 2 else "gpt-5", user=f"u{each % 5}") for each in range(60)]
    )
    await asyncio.gather(*(run(pool, prices(DEARER)) for _ in range(4)))
    assert ask(SUMS_AGREE) == "t|t|t|t|t|t"
    assert ask("SELECT trim_scale(sum(cost)) FROM usage_hourly") == "0.5484"  # 30 * 0.00028 + 30 * 0.018


async def test_a_run_that_stopped_goes_on_from_where_it_was(
    pool: Pool, ask: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.recorder.recost.PAGE_ROWS", 7)
    await recorder(pool).deliver([asked("house-7b") for _ in range(30)])
    pages = recost(Costs(pool), prices(OWN), PAST, FUTURE)
    async for first in pages:
        if first.looked_at:
            break
    await pages.aclose()
    assert (first.looked_at, first.changed) == (7, 7)
    assert first.until is not None
    assert ask(SUMS_AGREE) == "t|t|t|t|t|t"
    rest = await run(pool, prices(OWN), first.until)
    assert rest.looked_at >= 23
    assert rest.changed == 23
    assert ask("SELECT count(*) FROM exchanges WHERE cost = 0.00028") == "30"


async def test_only_the_time_that_was_asked_for_is_looked_at(pool: Pool) -> None:
    await recorder(pool).deliver([asked("house-7b")])
    assert (await run(pool, prices(OWN), until=PAST + datetime.timedelta(days=3))).looked_at == 0
    assert (await run(pool, prices(OWN), since=FUTURE, until=PAST)).looked_at == 0
    assert (await run(pool, prices(OWN))).looked_at == 1
