"""`/api/erasures`: what is to be taken out of the record for good, and receipts."""

from __future__ import annotations

import datetime
import uuid
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Response

from app.api import wire
from app.api.errors import ApiError
from app.api.exchanges import ExchangeId
from app.api.schemas.erasures import (
    ErasedCounts,
    ErasureAnswer,
    ErasureCount,
    ErasureList,
    ErasureRequest,
)
from app.api.schemas.errors import ErrorAnswer
from app.clock import utc_now
from app.store.erasing.requests import Counted, Erasure, Erasures, Kind, Reported, Target
from app.store.filters.reading import read_filter

INSTANT = datetime.timedelta(microseconds=1)
EARLIEST = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorAnswer} for code in (400, 401, 403, 404, 503)
}


def erasure_routes(erasures: Erasures) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["erasures"])

    @routes.delete(
        "/api/exchanges/{exchange_id}", status_code=202, response_model=ErasureAnswer, responses=_ERRORS
    )
    async def erase_exchange(exchange_id: ExchangeId) -> Response:
        """Erases one exchange. What later exchanges of its conversation sent again is theirs, and stays."""
        made = await erasures.of_exchange(exchange_id)
        if made is None:
            message = f"There is no exchange {exchange_id}; one that is still in a journal goes by POST /api/erasures."
            raise ApiError(404, message, param="exchange_id")
        return _accepted(made)

    @routes.post(
        "/api/erasures",
        status_code=202,
        response_model=ErasureAnswer,
        responses={**_ERRORS, 200: {"model": ErasureCount, "description": "What would go (`dry_run`)."}},
    )
    async def erase(asked: ErasureRequest) -> Response:
        """Erases all of a user, a key or a conversation, from tables, search, journals and quarantines.

        The answer comes at once, and `GET /api/erasures/{erasure_id}` tells how far it is. From then on nothing of it
        is recorded any more, whatever is still in a journal or is brought back to one.
        """
        project, target = await _target(erasures, asked)
        if asked.dry_run:
            return wire.answer(_count(project, target, await erasures.count(target)))
        return _accepted(await erasures.request(target))

    @routes.get("/api/erasures", response_model=ErasureList, responses=_ERRORS)
    async def list_erasures(
        after: Annotated[uuid.UUID | None, Query(description="The `last_id` of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="Longest page.")] = 20,
    ) -> Response:
        """Erasures, the latest first."""
        found, has_more = await erasures.listing(after, limit)
        data = [_told(each) for each in found]
        ids = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return wire.answer(
            {"object": "list", "data": data, "first_id": ids[0], "last_id": ids[1], "has_more": has_more}
        )

    @routes.get("/api/erasures/{erasure_id}", response_model=ErasureAnswer, responses=_ERRORS)
    async def show_erasure(erasure_id: uuid.UUID) -> Response:
        """How far an erasure is; its receipt once it is `done`."""
        found = await erasures.get(erasure_id)
        if found is None:
            raise ApiError(404, f"There is no erasure {erasure_id}.", param="erasure_id")
        return wire.answer(_told(found))

    return routes


async def _target(erasures: Erasures, asked: ErasureRequest) -> tuple[str, Target]:
    """The project's name, and what is meant. Raises ApiError, FilterError."""
    given = {name: str(value) for name in get_args(Kind) if (value := getattr(asked, name)) is not None}
    if len(given) != 1:
        raise ApiError(400, "takes one of user, key, conversation, exchange")
    ((kind, value),) = given.items()
    if "\0" in value:
        raise ApiError(400, f"{kind}: takes no NUL", param=kind)
    until = None
    if asked.until is not None:
        if kind == "exchange":
            raise ApiError(400, "until: an exchange goes whenever it began", param="until")
        wanted = read_filter([("until", asked.until)], utc_now()).until
        until = None if wanted is None else max(wanted, EARLIEST) - INSTANT
    projects = await erasures.projects()
    if asked.project is None and len(projects) != 1:
        names = ", ".join(sorted(projects)) or "nothing is recorded yet"
        raise ApiError(400, f"project: say which one ({names})", param="project")
    project = asked.project if asked.project is not None else next(iter(projects))
    if project not in projects:
        raise ApiError(404, "There is no such project.", param="project")
    for kind_name in get_args(Kind):
        if kind_name == kind:
            return project, Target(projects[project], kind_name, value, until)
    raise AssertionError(kind)


def _accepted(made: Erasure) -> Response:
    answer = wire.answer(_told(made))
    answer.status_code = 202
    answer.headers["location"] = f"/api/erasures/{made.id}"
    return answer


def _told(found: Erasure) -> dict[str, Any]:
    return {
        "object": "erasure",
        "id": str(found.id),
        "project": found.project,
        "status": found.state,
        "kind": found.kind,
        "value": found.value,
        "until": _time(found.until),
        "requested_at": wire.time(found.requested_at),
        "erased_at": _time(found.erased_at),
        "counts": {name: found.counts.get(name, 0) for name in ErasedCounts.model_fields},
        "recorders": [_recorder(each) for each in found.recorders],
    }


def _recorder(told: Reported) -> dict[str, Any]:
    return {
        "id": str(told.recorder_id),
        "host": told.host,
        "last_seen": wire.time(told.last_seen),
        "live": told.is_live,
        "done_at": _time(told.done_at),
        "stopped": told.stopped,
        "quarantined": told.quarantined,
        "quarantine_unreadable": told.unreadable,
    }


def _count(project: str, target: Target, found: Counted) -> dict[str, Any]:
    return {
        "object": "erasure.dry_run",
        "project": project,
        "kind": target.kind,
        "value": target.value,
        "until": _time(target.until),
        "exchanges": found.exchanges,
        "body_bytes": found.body_bytes,
        "conversations": found.conversations,
        "first_started_at": _time(found.first_started_at),
        "last_started_at": _time(found.last_started_at),
    }


def _time(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else wire.time(moment)
