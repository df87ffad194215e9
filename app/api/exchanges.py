"""`/api/exchanges`: the list, one exchange, its exact bytes, the times of its pieces."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from app.api import wire
from app.api.errors import ApiError
from app.api.messages import MessageReader, messages_of
from app.api.parameters import NAMED_BY_CLIENTS, ListParameters
from app.api.schemas.exchanges import ChunkList, ExchangeDetail, ExchangeList
from app.store.reading.query import Query as StoreQuery
from app.store.reading.stored import StoredExchange
from app.store.slices.bodies import StoredBody

ExchangeId = Annotated[uuid.UUID, Path(description="Verbatim's id, as in `x-verbatim-exchange-id`.")]
Parameters = Annotated[ListParameters, Query()]

_RAW: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes, with the recorded content type.", "content": {"*/*": {}}},
}
# A logged value that becomes a header: visible characters and single spaces, nothing that could end the line.
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+ ?(;.*)?", re.ASCII)


def exchange_routes(store: StoreQuery, read_messages: MessageReader) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["exchanges"])

    @routes.get("/api/exchanges", response_model=ExchangeList, openapi_extra=NAMED_BY_CLIENTS)
    async def list_exchanges(parameters: Parameters) -> Response:
        """A page of exchanges, newest first: metadata and previews, never whole bodies.

        Besides the filters below there are `tag.NAME=VALUE`, and `request.PATH` and `response.PATH` with `=`, `!=`,
        `<`, `<=`, `>`, `>=`, `~` (contains), such as `response.choices[0].finish_reason=length`; `PATH=` asks whether
        it is there.
        """
        wanted = parameters.filter()
        found = await store.list_exchanges(
            wanted, parameters.limit, parameters.after, parameters.order, parameters.sort
        )
        page = wire.page(found)
        if parameters.count:
            page |= wire.total(await store.count_exchanges(wanted))
        return wire.answer(page)

    @routes.get("/api/exchanges/{exchange_id}", response_model=ExchangeDetail)
    async def show_exchange(exchange_id: ExchangeId) -> Response:
        """All of one exchange but its bodies. A header's characters are its bytes (Latin-1).

        `messages` is what was said, requests and answers in one form, read from the kept bytes.
        """
        stored = await _exchange(store, exchange_id)
        messages = await messages_of(store, read_messages, stored)
        return wire.answer(wire.detail(stored, await store.headers(exchange_id), messages))

    @routes.get("/api/exchanges/{exchange_id}/request", response_class=Response, responses=_RAW)
    async def show_request(exchange_id: ExchangeId) -> Response:
        """The exact bytes of the request's body, as `…/response` gives those of the answer."""
        return await _raw(store, exchange_id, "request")

    @routes.get("/api/exchanges/{exchange_id}/response", response_class=Response, responses=_RAW)
    async def show_response(exchange_id: ExchangeId) -> Response:
        """The exact bytes of the answer's body, to be saved and not shown.

        `Content-Type` is the recorded one. The recorded content coding stands in `x-verbatim-content-encoding` and not
        in `Content-Encoding`, so that no client decodes the bytes on the way; `x-verbatim-sha256` is their digest.
        """
        return await _raw(store, exchange_id, "response")

    @routes.get("/api/exchanges/{exchange_id}/chunks", response_model=ChunkList)
    async def show_chunks(exchange_id: ExchangeId) -> Response:
        """When each piece of the answer arrived."""
        times = await store.chunk_times(exchange_id)
        if times is None:
            raise _not_kept(await _exchange(store, exchange_id))
        return wire.answer(wire.chunks(times))

    return routes


async def _exchange(store: StoreQuery, exchange_id: uuid.UUID) -> StoredExchange:
    stored = await store.get_exchange(exchange_id)
    if stored is None:
        raise ApiError(404, f"There is no exchange {exchange_id}.", param="exchange_id")
    return stored


async def _raw(store: StoreQuery, exchange_id: uuid.UUID, side: Literal["request", "response"]) -> Response:
    stored = await _exchange(store, exchange_id)
    body = await (store.request_body if side == "request" else store.response_body)(exchange_id)
    if body is None:
        raise _not_kept(stored)
    # The first slice before the head goes out: what is damaged there is an error, and not a cut answer.
    first = await anext(body.chunks, b"")
    headers = _raw_headers(body, stored, f"{exchange_id}.{side}")
    return StreamingResponse(_joined(first, body.chunks), headers=headers)


def _raw_headers(body: StoredBody, stored: StoredExchange, file_name: str) -> dict[str, str]:
    content_type = _header_value(body.content_type)
    headers = {
        "content-type": _media_type(content_type),
        "content-length": str(body.length_bytes),
        "content-disposition": f'attachment; filename="{file_name}"',
        "content-security-policy": "sandbox; default-src 'none'",
        "x-verbatim-sha256": body.sha256.hex(),
        "x-verbatim-capture-status": stored.capture_status,
    }
    if content_type:
        headers["x-verbatim-content-type"] = content_type
    if coding := _header_value(body.content_encoding):
        headers["x-verbatim-content-encoding"] = coding
    return headers


def _media_type(recorded: str | None) -> str:
    return recorded if recorded and _MEDIA_TYPE.fullmatch(recorded) else "application/octet-stream"


def _header_value(recorded: str | None) -> str | None:
    return recorded if recorded and _HEADER_VALUE.fullmatch(recorded) else None


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _not_kept(stored: StoredExchange) -> ApiError:
    why = f"log mode {stored.log_mode}, capture status {stored.capture_status}"
    return ApiError(
        404, f"This is not kept of exchange {stored.id} ({why}).", code="not_kept", param="exchange_id"
    )
