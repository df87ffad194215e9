"""An exchange whose answer was 101: what went both ways after it, read as the events of a session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from app.decode.amounts import count_text
from app.decode.counting import SESSIONS, Counting
from app.decode.jsonsafe import TextCleaner, read_json
from app.decode.preview import preview_answer, preview_request
from app.decode.realtime import SessionFold, SessionMeaning
from app.decode.route import model_in_path, route_of
from app.decode.usage import read_usage
from app.decode.values import Answer, Decoded, ErrorInfo, Request, Response
from app.decode.websocket import FrameReader, read_extensions

MODEL_FIELDS = (b"model", b"deployment")
"""Fields of the query that name the model: OpenAI's and Azure's."""
_READ = SESSIONS | {"live/sessions/{id}/fork"}


@dataclass(slots=True)
class Direction:
    """How far one direction of a session could be read."""

    events: int = 0
    unreadable: int = 0
    """Text messages that were no JSON object."""
    dropped: int = 0
    is_cut: bool = False
    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class SocketEvent:
    """One JSON event, and the offset behind its last byte in its direction: the recorder knows when that came."""

    value: dict[str, object]
    end: int


def read_socket(
    pieces: Iterable[bytes], reader: FrameReader, state: Direction, cleaner: TextCleaner
) -> Iterator[SocketEvent]:
    """The JSON events of one direction; `state` tells, when all is read, how much was none."""
    for piece in pieces:
        for message in reader.feed(piece):
            value = read_json(message.data, cleaner.flags)
            if isinstance(value, dict):
                state.events += 1
                yield SocketEvent(value, message.end)
            else:
                state.unreadable += message.is_text
    state.dropped = reader.dropped
    state.is_cut = reader.close is None and not reader.is_between_messages
    state.is_broken = reader.broken is not None


def decode_session(
    request: Request, response: Response, client: Iterable[bytes] | None, server: Iterable[bytes] | None
) -> Decoded:
    """What a session means; `client` and `server` are the bytes of each direction after the 101, in any pieces, or
    None where they are not available. Total, as decode_exchange is. Memory is bounded by what was said."""
    cleaner = TextCleaner()
    route = route_of(request.method, request.path)
    if route not in _READ:
        return Decoded(route=route, stream=False, capture_status="opaque")
    fold = SessionFold(cleaner)
    asked, told = Direction(), Direction()
    reader = FrameReader(read_extensions(response.extensions, is_client=True))
    for event in read_socket(client or [], reader, asked, cleaner):
        fold.from_client(event.value)
    reader = FrameReader(read_extensions(response.extensions, is_client=False))
    for event in read_socket(server or [], reader, told, cleaner):
        fold.from_server(event.value)
    meaning = fold.finish()
    status = "too_large" if client is None or server is None else _status(asked, told)
    named = cleaner.label(_model_in_query(request.query)) or cleaner.label(model_in_path(request.path))
    return _decoded(route, status, named, meaning, cleaner)


def _decoded(
    route: str, status: str, named: str | None, meaning: SessionMeaning, cleaner: TextCleaner
) -> Decoded:
    asked = [message for message in meaning.messages if message.direction == "request"]
    told = [message for message in meaning.messages if message.direction == "response"]
    error = meaning.error or ErrorInfo()
    usage = read_usage(meaning.usage, cleaner)
    words = preview_answer(Answer(messages=told), cleaner)
    summary = count_text(meaning.responses, "response") + (f": {words}" if words else "")
    if not meaning.responses:
        summary = words or ""
    answer = Answer(messages=told, error=None if told else meaning.error, summary=summary or None)
    return Decoded(
        route=route,
        stream=False,
        capture_status=status,
        model_asked=named or meaning.model_asked,
        model_served=meaning.model_served,
        upstream_id=meaning.id,
        usage=usage,
        counting=Counting.CALL,
        user=meaning.user,
        service_tier=meaning.service_tier or usage.detail.service_tier,
        finish_reason=meaning.status,
        error_type=error.type,
        error_code=error.code,
        error_message=error.message,
        request_preview=preview_request(asked, cleaner),
        response_preview=preview_answer(answer, cleaner),
        messages=meaning.messages,
        text_flags=tuple(sorted(cleaner.flags)),
    )


def _status(asked: Direction, told: Direction) -> str:
    if not asked.events and not told.events and (asked.is_broken or told.is_broken):
        return "unreadable"
    directions = (asked, told)
    is_partial = any(each.dropped or each.unreadable or each.is_cut or each.is_broken for each in directions)
    return "partial" if is_partial else "decoded"


def _model_in_query(query: bytes) -> str | None:
    for pair in query[:8192].split(b"&"):
        name, _, value = pair.partition(b"=")
        if name in MODEL_FIELDS and value:
            return unquote_to_bytes(value.replace(b"+", b" ")).decode("utf-8", "replace")
    return None


def whole(body: bytes | None) -> list[bytes] | None:
    """A body in one piece."""
    return None if body is None else [body]
