"""What was recorded, by OpenAI's ids, as objects of its read API."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable
from typing import Literal, Protocol

from app.api.errors import ApiError
from app.api.messages import MAX_READ_BYTES, whole_body
from app.api.openai_objects import Fields, completion
from app.clock import monotonic_ns
from app.store.filters.filter import Filter
from app.store.reading.query import Query as StoreQuery
from app.store.reading.stored import StoredExchange

CHAT = "/chat/completions"
RESPONSES = "/responses"
BUDGET_SECONDS = 10.0
"""So long a page of a list is looked for."""
_BATCH = 100

Order = Literal["asc", "desc"]
Metadata = tuple[tuple[str, str], ...]


class ObjectsReader(Protocol):
    """Makes objects of bytes; whoever puts the console together brings it."""

    def __call__(
        self, stored: StoredExchange, request: bytes | None, response: bytes | None, *, is_chat: bool
    ) -> tuple[Fields, Fields]:
        """What was asked and what was answered; streams are folded."""


class OpenAIRecord:
    """Finds what was recorded under OpenAI's ids."""

    def __init__(self, store: StoreQuery, read: ObjectsReader) -> None:
        self._store = store
        self._read = read

    async def find(self, item_id: str, path: str) -> StoredExchange:
        """The latest exchange with an id; raises ApiError where there is none."""
        found = await self._latest(item_id, path)
        if found is None:
            raise missing(item_id)
        return found

    async def objects(self, stored: StoredExchange, *, is_chat: bool) -> tuple[Fields, Fields]:
        """What was asked and answered; raises ApiError where it is not kept."""
        request = await self._store.request_body(stored.id)
        answer = await self._store.response_body(stored.id)
        if request is None or answer is None:
            raise missing(str(stored.id), "Its content is not kept.")
        asked, told = await whole_body(request), await whole_body(answer)
        if asked is None or told is None:
            raise missing(str(stored.id), f"It is longer than {MAX_READ_BYTES} bytes.")
        objects = await asyncio.to_thread(lambda: self._read(stored, asked, told, is_chat=is_chat))
        if stored.metadata is not None:
            for each in objects:
                each["metadata"] = json.loads(stored.metadata)
        return objects

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
                    return envelope(items, has_more=True)
                items += [item] if item is not None else []
                place = stored.id
            if not page.has_more:
                return envelope(items, has_more=False)
            place = page.resume_after or place
        if not items:
            # An empty page would end the walk of a client as if there were nothing.
            message = "Looking for this metadata takes too long; ask with model, too."
            raise ApiError(400, message, code="took_too_long", param="metadata", kind="invalid_request_error")
        return envelope(items, has_more=True)

    async def erase(self, item_id: str, path: str) -> None:
        """Has the exchange with an id erased, and others that tell of the same; raises ApiError where there is none."""
        found = {(await self.find(item_id, path)).id} | await self._same(item_id)
        for each in found - await self._store.erasures.erased_among(list(found)):
            await self._store.erasures.of_exchange(each)

    async def _same(self, item_id: str) -> set[uuid.UUID]:
        """All exchanges with an id of the provider's."""
        found: set[uuid.UUID] = set()
        after = None
        while True:
            page = await self._store.list_exchanges(Filter(upstream_id=item_id), _BATCH, after)
            found.update(each.id for each in page.exchanges)
            if not page.has_more or not page.exchanges:
                return found
            after = page.exchanges[-1].id

    async def _listed(self, stored: StoredExchange, metadata: Metadata) -> Fields | None:
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
        matching = [
            each
            for each in found
            if each is not None and each.path.endswith(path) and (each.method, each.status) == ("POST", 200)
        ]
        erased = await self._store.erasures.erased_among([each.id for each in matching])
        return next((each for each in matching if each.id not in erased), None)


def envelope(items: list[Fields], *, has_more: bool) -> Fields:
    """OpenAI's envelope of lists."""
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more}


def missing(item_id: str, why: str = "Nothing was recorded under it.") -> ApiError:
    """OpenAI's answer where nothing has an id."""
    return ApiError(404, f"No item with id '{item_id}'. {why}", param="id", kind="invalid_request_error")
