"""`/api/conversations`: exchanges that continue each other; those of one are a filter of `/api/exchanges`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.api import wire
from app.api.parameters import ConversationParameters
from app.api.schemas import ConversationList, ErrorAnswer
from app.store.query import Query as StoreQuery

Parameters = Annotated[ConversationParameters, Query()]

_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (400, 401, 403, 503)}


def conversation_routes(store: StoreQuery) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["conversations"])

    @routes.get("/api/conversations", response_model=ConversationList, responses=_ERRORS)
    async def list_conversations(parameters: Parameters) -> Response:
        """A page of conversations, the newest first; `GET /api/exchanges?conversation=ID` has their turns."""
        found, has_more = await store.list_conversations(
            parameters.project, parameters.limit, parameters.after
        )
        return wire.answer(wire.conversations(found, has_more=has_more))

    return routes
