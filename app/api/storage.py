"""`/api/storage`: how much room the record takes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from app.api import wire
from app.api.schemas.storage import StorageAnswer
from app.clock import utc_now
from app.store.database.storage import PeriodSize, Storage, StorageReader


def storage_routes(storage: StorageReader, limit_bytes: int | None) -> APIRouter:
    """The route over one store; `limit_bytes` is what the settings let it take."""
    routes = APIRouter(tags=["status"])

    @routes.get("/api/storage", response_model=StorageAnswer)
    async def show_storage() -> Response:
        """Bytes by kind, week and month, growth a day, and when `VERBATIM_STORE_MAX_GB` is reached."""
        return wire.answer(_told(await storage.read(utc_now(), limit_bytes)))

    return routes


def _told(found: Storage) -> dict[str, Any]:
    reached = found.limit_reached_at
    return {
        "object": "storage",
        "total_bytes": found.total_bytes,
        "bytes": found.bytes_by_kind,
        "weeks": [_period(each) for each in found.weeks],
        "months": [_period(each) for each in found.months],
        "growth_bytes_per_day": found.growth_bytes_a_day,
        "limit_bytes": found.limit_bytes,
        "limit_reached_at": None if reached is None else wire.time(reached),
    }


def _period(period: PeriodSize) -> dict[str, Any]:
    return {
        "from": period.first_day.isoformat(),
        "before": period.end_day.isoformat(),
        "bytes": period.bytes_by_kind,
        "estimated_exchanges": period.estimated_exchanges,
    }
