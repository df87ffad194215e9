"""Sums are what adding up all exchanges gives: by hour, model, endpoint, key, status and outcome, and by user."""

from __future__ import annotations

import decimal
import random
from collections import Counter, defaultdict
from typing import Any

from app.store.database.pool import Pool
from app.store.sums.histogram import packed
from app.store.writing.ingest import Ingest
from app.store.writing.record import Record, Usage
from tests.store.samples import NOON_NS, record

DAYS_THAT_DIFFER = """
SELECT count(*) FROM (
    SELECT
        project_id, (hour AT TIME ZONE 'UTC')::date AS day, model, route, key, status_class, outcome,
        sum(exchanges)::int8 AS exchanges, sum(input_tokens)::int8 AS input_tokens, sum(cost) AS cost,
        sum(duration_histogram) AS durations, sum(ttft_histogram) AS ttfts, sum(unpriced)::int8 AS unpriced
    FROM usage_hourly GROUP BY 1, 2, 3, 4, 5, 6, 7
) AS h
FULL JOIN usage_daily AS d USING (project_id, day, model, route, key, status_class, outcome)
WHERE (h.exchanges, h.input_tokens, h.cost, h.durations, h.ttfts, h.unpriced) IS DISTINCT FROM
    (d.exchanges, d.input_tokens, d.cost, d.duration_histogram, d.ttft_histogram, d.unpriced)
"""
"""Rows of days that are not the sum of their hours."""
WEEKS_THAT_DIFFER = """
SELECT count(*) FROM (
    SELECT
        project_id, date_trunc('week', day)::date AS week, model, key,
        sum(exchanges)::int8 AS exchanges, sum(input_tokens)::int8 AS input_tokens, sum(cost) AS cost,
        sum(duration_histogram) AS durations, sum(ttft_histogram) AS ttfts, sum(unpriced)::int8 AS unpriced,
        sum(CASE
            WHEN status_class >= 4 OR outcome NOT IN ('completed', 'client_left') THEN exchanges ELSE 0
        END)::int8 AS errors
    FROM usage_daily GROUP BY 1, 2, 3, 4
) AS d
FULL JOIN usage_weekly AS w USING (project_id, week, model, key)
WHERE (d.exchanges, d.input_tokens, d.cost, d.durations, d.ttfts, d.unpriced, d.errors) IS DISTINCT FROM
    (w.exchanges, w.input_tokens, w.cost, w.duration_histogram, w.ttft_histogram, w.unpriced, w.errors)
"""
"""Rows of weeks that are not the sum of their days."""
MODELS_THAT_DIFFER = """
SELECT count(*) FROM (
    SELECT
        project_id, day, model, route, status_class, outcome,
        sum(exchanges)::int8 AS exchanges, sum(input_tokens)::int8 AS input_tokens, sum(cost) AS cost,
        sum(duration_histogram) AS durations, sum(ttft_histogram) AS ttfts, sum(unpriced)::int8 AS unpriced
    FROM usage_daily GROUP BY 1, 2, 3, 4, 5, 6
) AS d
FULL JOIN usage_daily_models AS m USING (project_id, day, model, route, status_class, outcome)
WHERE (d.exchanges, d.input_tokens, d.cost, d.durations, d.ttfts, d.unpriced) IS DISTINCT FROM
    (m.exchanges, m.input_tokens, m.cost, m.duration_histogram, m.ttft_histogram, m.unpriced)
"""
"""Rows of days without key that are not the sum of those with it."""
ROUTES_THAT_DIFFER = """
SELECT count(*) FROM (
    SELECT
        project_id, hour, route, status_class, outcome,
        sum(exchanges)::int8 AS exchanges, sum(input_tokens)::int8 AS input_tokens, sum(cost) AS cost,
        sum(duration_histogram) AS durations, sum(ttft_histogram) AS ttfts, sum(unpriced)::int8 AS unpriced
    FROM usage_hourly GROUP BY 1, 2, 3, 4, 5
) AS h
FULL JOIN usage_hourly_routes AS r USING (project_id, hour, route, status_class, outcome)
WHERE (h.exchanges, h.input_tokens, h.cost, h.durations, h.ttfts, h.unpriced) IS DISTINCT FROM
    (r.exchanges, r.input_tokens, r.cost, r.duration_histogram, r.ttft_histogram, r.unpriced)
"""
"""Rows without model and key that are not the sum of those with them."""
TAGS_THAT_DIFFER = """
SELECT count(*) FROM (
    SELECT
        project_id, (started_at AT TIME ZONE 'UTC')::date AS day, t.key AS name, t.value,
        count(*) AS exchanges, coalesce(sum(input_tokens), 0)::int8 AS input_tokens,
        coalesce(sum(cost), 0) AS cost,
        count(*) FILTER (WHERE cost IS NULL AND cost_status <> 'repeated') AS unpriced
    FROM exchanges CROSS JOIN LATERAL jsonb_each_text(tags) AS t GROUP BY 1, 2, 3, 4
) AS e
FULL JOIN usage_daily_tags AS d USING (project_id, day, name, value)
WHERE (e.exchanges, e.input_tokens, e.cost, e.unpriced) IS DISTINCT FROM
    (d.exchanges, d.input_tokens, d.cost, d.unpriced)
"""
"""Rows of tags that are not the sum of their exchanges."""

HOUR_NS = 3_600_000_000_000
_COUNTED = ("request_bytes", "response_bytes")
_TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


def any_record(chance: random.Random) -> Record:
    tokens = [chance.choice((None, chance.randrange(10**6))) for _ in range(4)]
    cost = chance.choice((None, decimal.Decimal(chance.randrange(10**12)) / 10**9))
    status = "priced" if cost is not None else chance.choice(("unknown_model", None))
    usage = Usage(
        None, "reported", tokens[0], tokens[1], None, tokens[2], tokens[3], cost=cost, cost_status=status
    )
    return record(
        at_ns=NOON_NS + chance.randrange(3 * HOUR_NS),
        model=chance.choice((None, "gpt-4o", "gpt-5")),
        model_served=chance.choice((None, "gpt-5")),
        route=chance.choice(("chat/completions", "embeddings")),
        key=chance.choice((None, "a", "b")),
        status=chance.choice((None, 200, 201, 429, 500)),
        outcome=chance.choice(("completed", "client_left")),
        user=chance.choice((None, "u1", "u2")),
        tags=chance.choice(({}, {"team": "red"}, {"team": "blue", "env": "test"})),
        duration_us=chance.randrange(10**8),
        ttft_us=chance.choice((None, chance.randrange(10**7))),
        request_bytes=chance.randrange(10**6),
        response_bytes=chance.randrange(10**6),
        usage=usage,
    )


def sums(records: list[Record]) -> dict[str, Any]:
    usages = [each.usage for each in records]
    return {
        "exchanges": len(records),
        **{name: sum(getattr(each, name) for each in records) for name in _COUNTED},
        **{name: sum(getattr(each, name) or 0 for each in usages) for name in _TOKENS},
        "cost": sum((each.cost or decimal.Decimal(0) for each in usages), decimal.Decimal(0)),
        "unpriced": sum(each.cost_status is not None and each.cost is None for each in usages),
    }


async def test_sums_are_those_of_all_exchanges_however_they_were_delivered(
    pool: Pool, ingest: Ingest
) -> None:
    chance = random.Random(11)
    records = [any_record(chance) for _ in range(400)]
    for start in range(0, 400, 130):
        await ingest.deliver(records[start : start + 130])
    await ingest.deliver(records[100:300])
    hours: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    days: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for each in records:
        model = each.model or each.model_served or ""
        status_class = each.status // 100 if each.status else 0
        hour = each.started_at.replace(minute=0, second=0, microsecond=0)
        hours[hour, model, each.route, each.key or "", status_class, each.outcome].append(each)
        if each.user:
            days[each.started_at.date(), each.user, model].append(each)
    async with pool.transaction(readonly=True) as connection:
        hourly = [dict(row) for row in await connection.fetch("SELECT * FROM usage_hourly")]
        daily = [dict(row) for row in await connection.fetch("SELECT * FROM usage_daily_users")]
    assert len(hourly) == len(hours)
    for row in hourly:
        names = ("hour", "model", "route", "key", "status_class", "outcome")
        members = hours[tuple(row[name] for name in names)]
        assert {name: row[name] for name in sums(members)} == sums(members)
        assert f"{row['duration_histogram']:f}" == packed([each.duration_us for each in members])
        assert f"{row['ttft_histogram']:f}" == packed(
            [each.ttft_us for each in members if each.ttft_us is not None]
        )
    assert len(daily) == len(days)
    for row in daily:
        members = days[row["day"], row["end_user"], row["model"]]
        assert {name: row[name] for name in sums(members)} == sums(members)
    assert Counter(each.outcome for each in records).total() == sum(row["exchanges"] for row in hourly)
    async with pool.transaction(readonly=True) as connection:
        for differing in (
            *(DAYS_THAT_DIFFER, WEEKS_THAT_DIFFER, MODELS_THAT_DIFFER),
            *(ROUTES_THAT_DIFFER, TAGS_THAT_DIFFER),
        ):
            assert await connection.fetchval(differing) == 0
        assert await connection.fetchval("SELECT count(*) FROM usage_daily_tags") > 0
        for table in ("usage_daily", "usage_weekly", "usage_daily_models"):
            assert await connection.fetchval(f"SELECT sum(exchanges) FROM {table}") == 400
