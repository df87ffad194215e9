"""`/api/conversations`: exchanges that continue each other, and one of them as a tree."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.api import wire
from app.api.conversation_tree import ConversationReader
from app.api.errors import ApiError
from app.api.parameters import NAMED_BY_CLIENTS, ConversationParameters
from app.api.schemas.conversations import ConversationList, ConversationTree
from app.api.turns import TurnsReader
from app.store.reading.query import Query as StoreQuery

Parameters = Annotated[ConversationParameters, Query()]


def conversation_routes(store: StoreQuery, read_turns: TurnsReader) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["conversations"])
    reader = ConversationReader(store.contents, read_turns)

    @routes.get("/api/conversations", response_model=ConversationList, openapi_extra=NAMED_BY_CLIENTS)
    async def list_conversations(parameters: Parameters) -> Response:
        """A page of conversations of which an exchange passes the filters, by when they began, the newest first.

        Further filters are those of `/api/exchanges`; `GET /api/exchanges?conversation=ID` has the turns of one.
        """
        found = await store.list_conversations(
            parameters.filter(), parameters.limit, parameters.after, parameters.order
        )
        return wire.answer(wire.conversations(found))

    @routes.get("/api/conversations/{conversation_id}", response_model=ConversationTree)
    async def show_conversation(
        conversation_id: Annotated[
            uuid.UUID, Path(description="Its id: that of the exchange with which it began.")
        ],
        limit: Annotated[
            int, Query(ge=1, le=1000, description="At most so many exchanges, the first ones.")
        ] = 200,
        messages: Annotated[bool, Query(description="Whole messages, not only previews.")] = False,
    ) -> Response:
        """One conversation as a tree of what was said: each node follows the one above it.

        What is sent again with each call is one node; where two exchanges go on otherwise, a node has several below it.
        `incomplete` says that the conversation goes on behind what was read (`limit`, two seconds, or 64 MiB).
        """
        found = await store.get_conversation(conversation_id, limit)
        if found is None:
            raise ApiError(404, f"There is no conversation {conversation_id}.", param="conversation_id")
        return wire.answer(await reader.read(*found, with_messages=messages))

    return routes
