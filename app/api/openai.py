"""`/v1/…`: OpenAI's own read API over everything that was recorded, whatever `store` said."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Query, Request, Response

from app.api.errors import ApiError
from app.api.messages import MAX_READ_BYTES, whole_body
from app.api.openai_objects import Fields, completion, input_items, response, sent_messages
from app.api.schemas.errors import ErrorAnswer
from app.clock import monotonic_ns
from app.store.filter import Filter
from app.store.filters.facts import metadata_fact
from app.store.query import Query as StoreQuery
from app.store.stored import StoredExchange

CHAT = "/chat/completions"
RESPONSES = "/responses"
BUDGET_SECONDS = 10.0
"""So long a page of a list is looked for."""
_BATCH = 100

Limit = Annotated[int, Query(ge=1, le=100, description="Longest page.")]
After = Annotated[str | None, Query(max_length=1024, description="The `last_id` of the page before.")]
Order = Literal["asc", "desc"]
Metadata = tuple[tuple[str, str], ...]
_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorAnswer} for code in (400, 401, 403, 404, 503)
}


class ObjectsReader(Protocol):
    """Makes objects of bytes; whoever puts the console together brings it."""

    def __call__(
        self, stored: StoredExchange, request: bytes | None, response: bytes | None, *, is_chat: bool
    ) -> tuple[Fields, Fields]:
        """What was asked and what was answered; streams are folded."""


def openai_routes(store: StoreQuery, read: ObjectsReader) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(prefix="/v1", tags=["openai"])
    record = _Record(store, read)

    @routes.get(CHAT, response_class=Response, responses=_ERRORS)
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

    @routes.get(CHAT + "/{completion_id}", response_class=Response, responses=_ERRORS)
    async def show_completion(completion_id: str) -> Response:
        """One chat completion, by the provider's id or Verbatim's; a stream is folded into one object."""
        stored = await record.find(completion_id, CHAT)
        return _json(completion(stored, completion_id, *await record.objects(stored, is_chat=True)))

    @routes.get(CHAT + "/{completion_id}/messages", response_class=Response, responses=_ERRORS)
    async def list_messages(
        request: Request, completion_id: str, after: After = None, limit: Limit = 20, order: Order = "asc"
    ) -> Response:
        """The messages that the request held."""
        _refuse_unknown(request)
        asked, _ = await record.objects(await record.find(completion_id, CHAT), is_chat=True)
        return _json(_page(sent_messages(completion_id, asked), after, limit, order))

    @routes.get(RESPONSES + "/{response_id}", response_class=Response, responses=_ERRORS)
    async def show_response(response_id: str) -> Response:
        """One response, by the provider's id or Verbatim's; a stream is folded into one object."""
        stored = await record.find(response_id, RESPONSES)
        return _json(response(stored, response_id, *await record.objects(stored, is_chat=False)))

    @routes.get(RESPONSES + "/{response_id}/input_items", response_class=Response, responses=_ERRORS)
    async def list_input_items(
        request: Request, response_id: str, after: After = None, limit: Limit = 20, order: Order = "desc"
    ) -> Response:
        """The items that the request gave as input; `include` asks for what is there in any case."""
        _refuse_unknown(request, "include", "include[]")
        asked, _ = await record.objects(await record.find(response_id, RESPONSES), is_chat=False)
        return _json(_page(input_items(response_id, asked), after, limit, order))

    return routes


class _Record:
    """Finds what was recorded under OpenAI's ids."""

    def __init__(self, store: StoreQuery, read: ObjectsReader) -> None:
        self._store = store
        self._read = read

    async def find(self, item_id: str, path: str) -> StoredExchange:
        """The latest exchange with an id; raises ApiError where there is none."""
        found = await self._latest(item_id, path)
        if found is None:
            raise _missing(item_id)
        return found

    async def objects(self, stored: StoredExchange, *, is_chat: bool) -> tuple[Fields, Fields]:
        """What was asked and answered; raises ApiError where it is not kept."""
        request = await self._store.request_body(stored.id)
        answer = await self._store.response_body(stored.id)
        if request is None or answer is None:
            raise _missing(str(stored.id), "Its content is not kept.")
        asked, told = await whole_body(request), await whole_body(answer)
        if asked is None or told is None:
            raise _missing(str(stored.id), f"It is longer than {MAX_READ_BYTES} bytes.")
        return await asyncio.to_thread(lambda: self._read(stored, asked, told, is_chat=is_chat))

    async def completions(
        self, wanted: Filter, metadata: Metadata, after: str | None, limit: int, order: Order
    ) -> Fields:
        """A page of chat completions of this metadata; raises ApiError where finding the first takes too long."""
        place = (await self.find(after, CHAT)).id if after is not None else None
        deadline = monotonic_ns() + int(BUDGET_SECONDS * 1e9)
        items: list[Fields] = []
        while monotonic_ns() < deadline:
            page = await self._store.list_exchanges(wanted, _BATCH, place, order)
            for stored in page.exchanges:
                item = await self._listed(stored, metadata)
                if item is not None and len(items) == limit:
                    return _envelope(items, has_more=True)
                items += [item] if item is not None else []
                place = stored.id
            if not page.has_more:
                return _envelope(items, has_more=False)
            place = page.resume_after or place
        if not items:
            # An empty page would end the walk of a client as if there were nothing.
            message = "Looking for this metadata takes too long; ask with model, too."
            raise ApiError(400, message, code="took_too_long", param="metadata", kind="invalid_request_error")
        return _envelope(items, has_more=True)

    async def _listed(self, stored: StoredExchange, metadata: tuple[tuple[str, str], ...]) -> Fields | None:
        item_id = stored.upstream_id or str(stored.id)
        latest = await self._latest(item_id, CHAT)
        if latest is None or latest.id != stored.id:
            return None
        try:
            asked, told = await self.objects(stored, is_chat=True)
        except ApiError:
            return None
        given = asked.get("metadata")
        has = given if isinstance(given, dict) else {}
        if any(has.get(name) != value for name, value in metadata):
            return None
        return completion(stored, item_id, asked, told)

    async def _latest(self, item_id: str, path: str) -> StoredExchange | None:
        found: Iterable[StoredExchange | None]
        try:
            found = [await self._store.get_exchange(uuid.UUID(item_id))]
        except ValueError:
            wanted = Filter(upstream_id=item_id, method="POST", status=200)
            found = (await self._store.list_exchanges(wanted, _BATCH)).exchanges
        matching = (each for each in found if each is not None and each.path.endswith(path))
        return next((each for each in matching if each.method == "POST" and each.status == 200), None)


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
            raise _missing(after)
        ordered = ordered[ids.index(after) + 1 :]
    return _envelope(ordered[:limit], has_more=len(ordered) > limit)


def _envelope(items: list[Fields], *, has_more: bool) -> Fields:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more}


def _missing(item_id: str, why: str = "Nothing was recorded under it.") -> ApiError:
    return ApiError(404, f"No item with id '{item_id}'. {why}", param="id", kind="invalid_request_error")


def _json(answer: Fields) -> Response:
    """ASCII, so that no lone surrogate of a model breaks it."""
    return Response(json.dumps(answer).encode(), media_type="application/json")
