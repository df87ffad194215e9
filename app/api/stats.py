"""`/api/stats`: sums and percentiles by one or two groups."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from app.api import wire
from app.api.parameters import NAMED_BY_CLIENTS, FilterParameters
from app.api.schemas.stats import StatsList
from app.store.sums.groups import COUNTS, GROUPS, SHARES, Quantiles, quantiles, read_groups
from app.store.sums.stats import Group, Stats, StatsReader

_NAMES = [f"p{round(share * 100)}" for share in SHARES]


class StatsParameters(FilterParameters):
    """Which exchanges, by what."""

    group_by: str = Field(
        "", description=f"One or two, with a comma: {', '.join(GROUPS)}, tag.NAME; nothing: all as one group."
    )
    percentiles: bool = Field(True, description="`false` leaves out percentiles, which is faster.")
    limit: int = Field(1_000, ge=1, le=10_000, description="At most so many groups.")


def stats_routes(stats: StatsReader) -> APIRouter:
    """The route over one store."""
    routes = APIRouter(tags=["stats"])

    @routes.get("/api/stats", response_model=StatsList, openapi_extra=NAMED_BY_CLIENTS)
    async def sum_up(parameters: Annotated[StatsParameters, Query()]) -> Response:
        """Sums of exchanges, their errors and percentiles: by time where that is a group, else the largest first."""
        groups = read_groups(parameters.group_by)
        found = await stats.read(
            parameters.filter(), groups, parameters.limit, with_times=parameters.percentiles
        )
        return wire.answer(stats_page(found))

    return routes


def stats_page(found: Stats) -> dict[str, Any]:
    """Groups in OpenAI's envelope of lists."""
    return {
        "object": "list",
        "data": [_group(each, *times) for each, times in zip(found.groups, _times(found), strict=True)],
        "has_more": found.has_more,
        "incomplete": not found.is_complete,
        "since": None if found.since is None else wire.time(found.since),
        "source": found.source,
    }


def _times(found: Stats) -> list[tuple[Quantiles, Quantiles]]:
    if not found.has_times:
        return [(None, None)] * len(found.groups)
    return quantiles([each.sums for each in found.groups])


def _group(group: Group, durations: Quantiles, ttfts: Quantiles) -> dict[str, Any]:
    sums = group.sums
    exchanges = sums.counts["exchanges"]
    rate = None if sums.errors is None or not exchanges else sums.errors / exchanges
    return {
        "object": "stats",
        "group": {
            name: wire.time(each) if isinstance(each, datetime.datetime) else each
            for name, each in group.values.items()
        },
        **{name: sums.counts[name] for name in COUNTS},
        "total_tokens": sums.counts["input_tokens"] + sums.counts["output_tokens"],
        "cost": wire.money(sums.cost),
        "errors": sums.errors,
        "error_rate": rate,
        "duration_ms": _percentiles(durations),
        "ttft_ms": _percentiles(ttfts),
    }


def _percentiles(times_us: Quantiles) -> dict[str, float] | None:
    if times_us is None:
        return None
    return {name: round(each / 1000, 3) for name, each in zip(_NAMES, times_us, strict=True)}
