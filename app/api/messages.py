"""The messages of one exchange, read from its kept bytes when they are asked for."""

from __future__ import annotations

import asyncio
import json
from typing import Protocol

import msgspec

from app.errors import StoreError, StoreMisconfiguredError, StoreUnavailableError
from app.store.reading.query import Query
from app.store.reading.stored import StoredExchange, StoredHeaders
from app.store.slices.bodies import StoredBody

_SWITCHING_PROTOCOLS = 101
MAX_READ_BYTES = 16 << 20
"""Longer bodies are not read for their messages; their bytes are there."""


class MessageReader(Protocol):
    """Makes messages of bytes; whoever puts the console together brings it."""

    def __call__(
        self,
        stored: StoredExchange,
        request: bytes | None,
        response: bytes | None,
        extensions: str | None = None,
    ) -> list[dict[str, object]]:
        """The messages in order, as JSON values; a body that is None was too large to be read.

        `extensions` is what both sides of a WebSocket agreed upon (Sec-WebSocket-Extensions).
        """


async def messages_of(store: Query, read: MessageReader, stored: StoredExchange) -> msgspec.Raw | None:
    """The messages of an exchange as JSON; None where its bodies are not kept, or cannot be rebuilt."""
    try:
        request = await store.request_body(stored.id)
        response = await store.response_body(stored.id)
        if request is None and response is None:
            return None
        asked, told = await whole_body(request), await whole_body(response)
        is_socket = stored.status == _SWITCHING_PROTOCOLS
        extensions = extensions_of(stored, await store.headers(stored.id) if is_socket else None)
    except (StoreUnavailableError, StoreMisconfiguredError):
        raise
    except StoreError:
        # A damaged slice: the rest of the exchange is shown all the same.
        return None
    # Off the event loop: the largest bodies take a second.
    return await asyncio.to_thread(lambda: _json(read(stored, asked, told, extensions)))


def _json(messages: list[dict[str, object]]) -> msgspec.Raw:
    """With the standard library: parts hold whatever numbers a model wrote, and msgspec takes none beyond 64 bits."""
    return msgspec.Raw(json.dumps(messages, ensure_ascii=False, separators=(",", ":")).encode())


def extensions_of(stored: StoredExchange, headers: StoredHeaders | None) -> str | None:
    """What both sides of a WebSocket agreed upon; None where there was none."""
    if stored.status != _SWITCHING_PROTOCOLS or headers is None:
        return None
    values = [value for name, value in headers.response or [] if name.lower() == b"sec-websocket-extensions"]
    return b", ".join(values).decode("latin-1") or None


async def whole_body(body: StoredBody | None) -> bytes | None:
    """All of a body; None where it is too large to be read."""
    if body is None:
        return b""
    if body.length_bytes > MAX_READ_BYTES:
        return None
    return b"".join([piece async for piece in body.chunks])
