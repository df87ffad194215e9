"""`/api/export`: any exchanges as a file, streamed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.types import Receive, Scope, Send

from app.api.compression import Coding, accepted_coding, compressor_of
from app.api.errors import ApiError
from app.api.exporter import Exporter, FieldsReader, Wanted
from app.api.messages import MessageReader
from app.api.parameters import NAMED_BY_CLIENTS, FilterParameters
from app.api.schemas.errors import ErrorAnswer
from app.export import parquet
from app.export.formats import FORMATS, FormatName, Options
from app.store.reading.query import Query as StoreQuery

MOST_AT_ONCE = 4
"""Exports at a time: each reads and compresses as fast as it is taken."""


_ANSWERS: dict[int | str, dict[str, Any]] = {
    **{code: {"model": ErrorAnswer} for code in (429, 501)},
    200: {
        "description": "The file; it is whole where the answer ends as HTTP says it should.",
        "content": {each.media_type.partition(";")[0]: {} for each in FORMATS.values()},
    },
}


class ExportParameters(FilterParameters):
    """Which exchanges, as what file."""

    format: FormatName = Field(description="What the file is.")
    order: Literal["desc", "asc"] = Field("asc", description="`asc`: oldest first; `desc`: newest first.")
    limit: int | None = Field(None, ge=1, description="At most so many exchanges; all where it is left out.")
    after: uuid.UUID | None = Field(
        None, description="The last `id` of a file that was cut: the export goes on behind it."
    )
    messages: bool = Field(
        True,
        description="`false` leaves out what was said (`jsonl`, `csv`, `parquet`), which is much faster.",
    )
    header: bool | None = Field(
        None, description="Whether `csv` has a line of names; by default unless `after` is given."
    )
    ids: bool = Field(
        False,
        description='`openai-finetune`: each line is `{"id", "example"}`, or `{"id", "left_out"}` with the reason.',
    )


def export_routes(store: StoreQuery, read_messages: MessageReader, read_fields: FieldsReader) -> APIRouter:
    """The route over one store."""
    routes = APIRouter(tags=["export"])
    exporter = Exporter(store, read_messages, read_fields)
    slots = asyncio.Semaphore(MOST_AT_ONCE)

    @routes.get(
        "/api/export", response_class=StreamingResponse, responses=_ANSWERS, openapi_extra=NAMED_BY_CLIENTS
    )
    async def export(request: Request, parameters: Annotated[ExportParameters, Query()]) -> Response:
        """Exchanges as a file, oldest first, streamed; `Accept-Encoding` may ask for gzip or zstd.

        `jsonl` has in each line what `/api/exchanges/{exchange_id}` gives. `csv` has a row an exchange; a text that a
        spreadsheet would take for a formula begins with an apostrophe. `txt` and `md` are transcripts to read.
        `parquet` needs pyarrow. `openai-finetune` has an example a line and leaves out what cannot be one; `ids` says
        what and why. A file that was cut goes on with `after` and the last `id` that came whole.
        """
        wanted = _wanted(parameters)
        if wanted.format.name == "parquet" and not parquet.is_installed():
            raise ApiError(501, parquet.HOW_TO_INSTALL, code="not_installed", param="format")
        if slots.locked():
            message = f"{MOST_AT_ONCE} exports are running; ask again when one has ended."
            raise ApiError(429, message, code="too_many_exports", headers={"Retry-After": "10"})
        coding = accepted_coding(request.headers.get("accept-encoding"))
        if wanted.format.is_compressed:
            coding = "identity"
        await slots.acquire()
        pieces = exporter.run(wanted, compressor_of(coding))
        try:
            first = await anext(pieces)
        except BaseException:
            slots.release()
            raise
        return _Export(first, pieces, slots.release, _headers(wanted, coding))

    return routes


class _Export(StreamingResponse):
    """Sends the pieces; stops making them, and gives its slot back, when the client has gone or has all."""

    def __init__(
        self,
        first: bytes,
        pieces: AsyncGenerator[bytes],
        release: Callable[[], None],
        headers: dict[str, str],
    ) -> None:
        super().__init__(_filled(first, pieces), headers=headers)
        self._pieces = pieces
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()
            await self._pieces.aclose()


def _wanted(parameters: ExportParameters) -> Wanted:
    with_header = parameters.after is None if parameters.header is None else parameters.header
    return Wanted(
        filter=parameters.filter(),
        order=parameters.order,
        after=parameters.after,
        limit=parameters.limit,
        format=FORMATS[parameters.format],
        options=Options(with_messages=parameters.messages, with_header=with_header, with_ids=parameters.ids),
    )


def _headers(wanted: Wanted, coding: Coding) -> dict[str, str]:
    headers = {
        "content-type": wanted.format.media_type,
        "content-disposition": f'attachment; filename="verbatim.{wanted.format.suffix}"',
        "vary": "Accept-Encoding",
    }
    if coding != "identity":
        headers["content-encoding"] = coding
    return headers


async def _filled(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces that hold something."""
    if first:
        yield first
    async for piece in rest:
        if piece:
            yield piece
