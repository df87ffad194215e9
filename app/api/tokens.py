"""`/api/tokens`: tokens that read one project. All of it takes the console's own token."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from app.api import wire
from app.api.errors import ApiError
from app.api.grants import new_read_token, token_hash
from app.api.schemas.errors import ErrorAnswer
from app.api.schemas.tokens import MadeToken, RevokedToken, TokenList, TokenRequest
from app.store.tokens import MOST_TOKENS, ReadToken, ReadTokens

TokenId = Annotated[uuid.UUID, Path(description="As in the list.")]


def token_routes(tokens: ReadTokens) -> APIRouter:
    """The routes over the tokens of one store."""
    routes = APIRouter(tags=["tokens"])

    @routes.get("/api/tokens", response_model=TokenList)
    async def list_tokens() -> Response:
        """All tokens that read one project, the newest first, without their text, which nobody keeps."""
        found = [_told(each) for each in await tokens.all()]
        first, last = (found[0]["id"], found[-1]["id"]) if found else (None, None)
        return wire.answer(
            {"object": "list", "data": found, "first_id": first, "last_id": last, "has_more": False}
        )

    @routes.post(
        "/api/tokens",
        response_model=MadeToken,
        status_code=201,
        responses={409: {"model": ErrorAnswer}},
    )
    async def make_token(wanted: TokenRequest) -> Response:
        """Makes a token that reads one project, on every route that reads exchanges, and changes nothing."""
        text = new_read_token()
        made = await tokens.make(token_hash(text), wanted.project, wanted.name)
        if made is None:
            message = f"There are {MOST_TOKENS} tokens already; revoke some."
            raise ApiError(409, message, code="too_many_tokens")
        answer = wire.answer({**_told(made), "token": text})
        answer.status_code = 201
        return answer

    @routes.delete(
        "/api/tokens/{token_id}",
        response_model=RevokedToken,
    )
    async def revoke_token(token_id: TokenId) -> Response:
        """Takes a token away; other consoles of this database refuse it two seconds later."""
        if not await tokens.revoke(token_id):
            raise ApiError(404, f"There is no token {token_id}.", param="token_id")
        return wire.answer({"object": "token.revoked", "id": str(token_id), "revoked": True})

    return routes


def _told(token: ReadToken) -> dict[str, Any]:
    return {
        "object": "token",
        "id": str(token.id),
        "project": token.project,
        "name": token.name,
        "created_at": wire.time(token.created_at),
    }
