"""`/api/conversations`: exchanges that continue each other; those of one are a filter of `/api/exchanges`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.api import wire
from app.api.exchanges import refuse_repeated
from app.api.parameters import ConversationParameters
from app.api.schemas.conversations import ConversationList
from app.api.schemas.errors import ErrorAnswer
from app.store.query import Query as StoreQuery

Parameters = Annotated[ConversationParameters, Query()]

_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (400, 401, 403, 503)}


def conversation_routes(store: StoreQuery) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["conversations"])

    @routes.get("/api/conversations", response_model=ConversationList, responses=_ERRORS)
    async def list_conversations(request: Request, parameters: Parameters) -> Response:
        """A page of conversations of which an exchange passes the filters, by when they began, the newest first.

        Further filters are those of `/api/exchanges`; `GET /api/exchanges?conversation=ID` has the turns of one.
        """
        refuse_repeated(request)
        found = await store.list_conversations(
            parameters.filter(), parameters.limit, parameters.after, parameters.order
        )
        return wire.answer(wire.conversations(found))

    return routes
