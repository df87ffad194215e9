"""`/v1/…`: OpenAI's own read API over everything that was recorded, whatever `store` said."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.api.errors import ApiError
from app.api.openai_objects import Fields, completion, input_items, response, sent_messages
from app.api.openai_record import (
    CHAT,
    RESPONSES,
    Metadata,
    ObjectsReader,
    OpenAIRecord,
    Order,
    envelope,
    missing,
)
from app.api.schemas.errors import ErrorAnswer
from app.store.filters.facts import metadata_fact
from app.store.filters.filter import Filter
from app.store.reading.query import Query as StoreQuery

Limit = Annotated[int, Query(ge=1, le=100, description="Longest page.")]
After = Annotated[str | None, Query(max_length=1024, description="The `last_id` of the page before.")]
_METADATA: dict[str, Any] = {
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "description": "`metadata[KEY]=VALUE`, as the request had it or as it was set later.",
            "style": "deepObject",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ]
}


def openai_routes(store: StoreQuery, read: ObjectsReader) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(prefix="/v1", tags=["openai"])
    record = OpenAIRecord(store, read)

    @routes.get(
        CHAT, response_class=Response, responses={404: {"model": ErrorAnswer}}, openapi_extra=_METADATA
    )
    async def list_completions(
        request: Request,
        after: After = None,
        limit: Limit = 20,
        order: Order = "asc",
        model: Annotated[str | None, Query(max_length=1024, description="Model asked for.")] = None,
    ) -> Response:
        """Chat completions; `metadata[KEY]=VALUE` asks for those whose request had it."""
        pairs = request.query_params.multi_items()
        metadata = tuple((name[9:-1], value) for name, value in pairs if name.startswith("metadata["))
        _refuse_unknown(request, "model", *(f"metadata[{name}]" for name, _ in metadata))
        return _json(await record.completions(_completions(model, metadata), metadata, after, limit, order))

    @routes.get(CHAT + "/{completion_id}", response_class=Response)
    async def show_completion(completion_id: str) -> Response:
        """One chat completion, by the provider's id or Verbatim's; a stream is folded into one object."""
        stored = await record.find(completion_id, CHAT)
        return _json(completion(stored, completion_id, *await record.objects(stored, is_chat=True)))

    @routes.get(CHAT + "/{completion_id}/messages", response_class=Response)
    async def list_messages(
        request: Request, completion_id: str, after: After = None, limit: Limit = 20, order: Order = "asc"
    ) -> Response:
        """The messages that the request held."""
        _refuse_unknown(request)
        asked, _ = await record.objects(await record.find(completion_id, CHAT), is_chat=True)
        return _json(_page(sent_messages(completion_id, asked), after, limit, order))

    @routes.get(RESPONSES + "/{response_id}", response_class=Response)
    async def show_response(response_id: str) -> Response:
        """One response, by the provider's id or Verbatim's; a stream is folded into one object."""
        stored = await record.find(response_id, RESPONSES)
        return _json(response(stored, response_id, *await record.objects(stored, is_chat=False)))

    @routes.get(RESPONSES + "/{response_id}/input_items", response_class=Response)
    async def list_input_items(
        request: Request, response_id: str, after: After = None, limit: Limit = 20, order: Order = "desc"
    ) -> Response:
        """The items that the request gave as input; `include` asks for what is there in any case."""
        _refuse_unknown(request, "include", "include[]")
        asked, _ = await record.objects(await record.find(response_id, RESPONSES), is_chat=False)
        return _json(_page(input_items(response_id, asked), after, limit, order))

    return routes


def _completions(model: str | None, metadata: Metadata) -> Filter:
    """All chat completions that may be wanted; facts do not hold all metadata."""
    facts = [fact for name, value in metadata if (fact := metadata_fact(name, value)) is not None]
    return Filter(model=model, method="POST", path="/v1" + CHAT, status=200, facts=tuple(facts))


def _refuse_unknown(request: Request, *others: str) -> None:
    """Raises where a list is asked with a parameter that it does not know."""
    known = ("after", "limit", "order", *others)
    unknown = next((name for name in request.query_params if name not in known), None)
    if unknown is not None:
        message = f"Unknown parameter: '{unknown}'; expected one of {', '.join(known)}."
        raise ApiError(400, message, code="unknown_parameter", param=unknown, kind="invalid_request_error")


def _page(items: list[Fields], after: str | None, limit: int, order: Order) -> Fields:
    ordered = items if order == "asc" else items[::-1]
    if after is not None:
        ids = [each["id"] for each in ordered]
        if after not in ids:
            raise missing(after)
        ordered = ordered[ids.index(after) + 1 :]
    return envelope(ordered[:limit], has_more=len(ordered) > limit)


def _json(answer: Fields) -> Response:
    """ASCII, so that no lone surrogate of a model breaks it."""
    return Response(json.dumps(answer).encode(), media_type="application/json")
