"""How the console reads messages: what the store kept, given to the decoders."""

from __future__ import annotations

from app.api.readers import Readers
from app.api.turns import Turn
from app.decode.folded import read_objects
from app.decode.identity import Turn as DecodedTurn
from app.decode.shown import request_fields, show_message, shown_messages, talked_turns
from app.decode.values import Request, Response
from app.exchange import Outcome
from app.store.reading.stored import StoredExchange

DEFAULT_UPSTREAM = "v1"


def readers() -> Readers:
    """All that the console needs to make meaning of kept bytes."""
    return Readers(read_messages, read_request_fields, read_turns, read_openai_objects)


def read_messages(
    stored: StoredExchange, request: bytes | None, response: bytes | None, extensions: str | None = None
) -> list[dict[str, object]]:
    """The messages of an exchange whose bodies are these; None is one too large to be read."""
    return shown_messages(_request(stored, request), _response(stored, response, extensions))


def read_turns(
    stored: StoredExchange, request: bytes | None, response: bytes | None, extensions: str | None = None
) -> tuple[list[Turn], list[Turn]]:
    """What an exchange asked in turns, and the turn that each of its answers makes."""
    asked, told = talked_turns(_request(stored, request), _response(stored, response, extensions))
    return [_turn(each) for each in asked], [_turn(each) for each in told]


def read_openai_objects(
    stored: StoredExchange, request: bytes | None, response: bytes | None, *, is_chat: bool
) -> tuple[dict[str, object], dict[str, object]]:
    """What was asked and answered as JSON objects; a stream is folded into one."""
    return read_objects(_request(stored, request), _response(stored, response), is_chat=is_chat)


def read_request_fields(stored: StoredExchange, request: bytes | None) -> dict[str, object]:
    """What the request's JSON sets beside what was said: tools, temperature, …"""
    return request_fields(_request(stored, request))


def _turn(turn: DecodedTurn) -> Turn:
    return Turn(turn.key, turn.role, lambda: [show_message(each) for each in turn.messages])


def _response(stored: StoredExchange, body: bytes | None, extensions: str | None = None) -> Response:
    return Response(
        status=stored.status,
        content_type=stored.response_content_type,
        content_encoding=stored.response_content_encoding,
        body=body,
        complete=stored.outcome == Outcome.COMPLETED.value,
        extensions=extensions,
    )


def _request(stored: StoredExchange, body: bytes | None) -> Request:
    path = stored.path.encode("utf-8", "replace")
    if stored.upstream != DEFAULT_UPSTREAM:
        path = path.removeprefix(b"/" + stored.upstream.encode("utf-8", "replace"))
    return Request(
        method=stored.method,
        path=path,
        query=stored.query.encode("utf-8", "replace"),
        content_type=stored.request_content_type,
        content_encoding=stored.request_content_encoding,
        body=body,
    )
