"""`/api/tail`: exchanges as they end, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.api import wire
from app.api.errors import ApiError
from app.api.parameters import NAMED_BY_CLIENTS, FilterParameters
from app.api.schemas.errors import ErrorAnswer
from app.clock import monotonic_ns
from app.errors import StoreUnavailableError
from app.store.filters.filter import LOWEST_ID
from app.store.reading.query import Query as StoreQuery
from app.store.reading.tail import Cursor, Tail

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 10.0
SEND_SECONDS = 60.0
"""A client that takes nothing for so long is left; it may go on from its last event."""
MOST_AT_ONCE = 50

# The second keeps nginx from holding events back.
_HEADERS = {"content-type": "text/event-stream", "x-accel-buffering": "no"}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    429: {"model": ErrorAnswer},
    200: {"description": "Events, until the client leaves.", "content": {"text/event-stream": {}}},
}


def tail_routes(store: StoreQuery, stopping: asyncio.Event) -> APIRouter:
    """The route over one store; streams end when `stopping` is set."""
    routes = APIRouter(tags=["tail"])
    slots = asyncio.Semaphore(MOST_AT_ONCE)

    @routes.get(
        "/api/tail", response_class=StreamingResponse, responses=_ANSWERS, openapi_extra=NAMED_BY_CLIENTS
    )
    async def tail(
        parameters: Annotated[FilterParameters, Query()],
        last_event_id: Annotated[
            str | None,
            Header(description="The `id` of the last event: nothing is missed, nothing comes twice."),
        ] = None,
    ) -> Response:
        """Exchanges as they end, a moment after they are recorded, in the order of recording.

        Each is an event `exchange` whose data is what a list has. An event without data moves the `id` on; comments
        say that the connection lives. Without `Last-Event-ID` it begins now.
        """
        wanted = parameters.filter()  # what is wrong in it is an answer, not the end of a stream
        cursor = await _cursor(store, last_event_id)
        if slots.locked():
            message = f"{MOST_AT_ONCE} tails are open; ask again when one has ended."
            raise ApiError(429, message, code="too_many_tails", headers={"Retry-After": "10"})
        await slots.acquire()
        events = _events(Tail(store, wanted, cursor), stopping)
        return _EventStream(events, slots.release)

    return routes


async def _cursor(store: StoreQuery, last_event_id: str | None) -> Cursor:
    if last_event_id:
        try:
            return Cursor.parse(last_event_id)
        except ValueError:
            message = "Last-Event-ID is no id of an event of this stream."
            raise ApiError(400, message, param="last-event-id") from None
    moment, _ = await store.moment()
    return Cursor(moment.now, LOWEST_ID)


async def _events(tail: Tail, stopping: asyncio.Event) -> AsyncGenerator[bytes]:
    """The stream's bytes; a page is read when the one before has been taken."""
    yield f"retry: 1000\nid: {tail.cursor}\n\n".encode()
    spoke_ns = monotonic_ns()
    while not stopping.is_set():
        try:
            found = await tail.next()
        except StoreUnavailableError:
            found = []
        if found:
            yield b"".join(_event(cursor, wire.exchange(stored)) for cursor, stored in found)
            spoke_ns = monotonic_ns()
            continue
        if monotonic_ns() - spoke_ns > HEARTBEAT_SECONDS * 1e9:
            yield f": nothing new\nid: {tail.cursor}\n\n".encode()
            spoke_ns = monotonic_ns()
        await _pause(stopping)


async def _pause(stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await stopping.wait()
    except TimeoutError:
        return


def _event(cursor: Cursor, exchange: dict[str, Any]) -> bytes:
    return b"event: exchange\nid: %s\ndata: %s\n\n" % (str(cursor).encode(), msgspec.json.encode(exchange))


class _EventStream(StreamingResponse):
    """Leaves a client that takes nothing, and gives its slot back."""

    def __init__(self, events: AsyncGenerator[bytes], release: Callable[[], None]) -> None:
        super().__init__(events, headers=_HEADERS)
        self._events = events
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            # The server cuts what an application leaves unfinished.
            return
        finally:
            self._release()
            await self._events.aclose()
