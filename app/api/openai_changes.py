"""`/v1/…`, what changes the record: metadata that is set, completions and responses that are deleted."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.openai_objects import completion
from app.api.openai_record import CHAT, RESPONSES, ObjectsReader, OpenAIRecord, missing
from app.api.schemas.errors import ErrorAnswer
from app.store.reading.query import Query as StoreQuery

MOST_METADATA = 16
_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorAnswer} for code in (400, 401, 403, 404, 503)
}
_TEXT = r"^[^\x00]*$"
Key = Annotated[str, Field(min_length=1, max_length=64, pattern=_TEXT)]
Value = Annotated[str, Field(max_length=512, pattern=_TEXT)]


class CompletionUpdate(BaseModel):
    """What may be changed of a chat completion."""

    model_config = ConfigDict(extra="forbid")

    metadata: dict[Key, Value] | None = Field(
        max_length=MOST_METADATA, description="In place of what it had; null: none."
    )


def openai_change_routes(store: StoreQuery, read: ObjectsReader) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(prefix="/v1", tags=["openai"])
    record = OpenAIRecord(store, read)

    @routes.post(CHAT + "/{completion_id}", response_class=Response, responses=_ERRORS)
    async def update_completion(completion_id: str, update: CompletionUpdate) -> Response:
        """Sets the metadata of a chat completion, by which lists find it; the recorded bytes stay as they are."""
        stored = await record.find(completion_id, CHAT)
        if not await store.metadata.set(stored.id, update.metadata or {}):
            raise missing(completion_id)
        stored = await record.find(completion_id, CHAT)
        return _json(completion(stored, completion_id, *await record.objects(stored, is_chat=True)))

    @routes.delete(CHAT + "/{completion_id}", response_class=Response, responses=_ERRORS)
    async def delete_completion(completion_id: str) -> Response:
        """Erases a chat completion, as `DELETE /api/exchanges/{exchange_id}` does."""
        await record.erase(completion_id, CHAT)
        return _json({"object": "chat.completion.deleted", "id": completion_id, "deleted": True})

    @routes.delete(RESPONSES + "/{response_id}", response_class=Response, responses=_ERRORS)
    async def delete_response(response_id: str) -> Response:
        """Erases a response with all exchanges that read it."""
        await record.erase(response_id, RESPONSES)
        return _json({"object": "response", "id": response_id, "deleted": True})

    return routes


def _json(answer: object) -> Response:
    """ASCII, so that no lone surrogate of a model breaks it."""
    return Response(json.dumps(answer).encode(), media_type="application/json")
