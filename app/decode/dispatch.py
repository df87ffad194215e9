"""Which decoder for which exchange; what none knows stays opaque, and is never an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from app.decode.content import ContentStatus, decode_content
from app.decode.counting import Counting, counting_of
from app.decode.envelope import read_envelope
from app.decode.events import Fold, StreamEvents, read_events
from app.decode.facts import read_facts
from app.decode.jsonsafe import TextCleaner, as_dict, read_json
from app.decode.lineage import read_lineage
from app.decode.multipart import Form, form_fields, read_form
from app.decode.preview import preview_answer, preview_request, preview_text
from app.decode.route import model_in_path, route_of
from app.decode.session import decode_session, whole
from app.decode.table import Decoder, decoder_for
from app.decode.usage import read_usage
from app.decode.values import Answer, Decoded, ErrorInfo, Message, Request, Response
from app.frozen import value

SEVERITY = ("decoded", "partial", "unreadable", "too_large", "opaque")
"""Capture statuses, from best to worst: the worse of both halves counts."""

_NO_ERROR = ErrorInfo()
_NO_ANSWER = Answer()
_STATUS_OF_CONTENT = {
    ContentStatus.WHOLE: "decoded",
    ContentStatus.CUT: "partial",
    ContentStatus.DAMAGED: "unreadable",
    ContentStatus.UNKNOWN: "unreadable",
    ContentStatus.TOO_LARGE: "too_large",
}


@value
class _Half:
    """One half of an exchange as far as it could be read."""

    status: str
    body: dict[str, object]
    messages: list[Message]
    answer: Answer


def decode_exchange(request: Request, response: Response) -> Decoded:
    """What an exchange means. Total: any bytes give a value, and nothing is raised."""
    if response.status == 101:
        return decode_session(request, response, whole(request.body), whole(response.body))
    cleaner = TextCleaner()
    route = route_of(request.method, request.path)
    decoder = decoder_for(request.method, route)
    is_stream = has_events(response)
    asked = _read_request(request, decoder, cleaner)
    told = _read_response(response, decoder, is_stream, cleaner)
    answer = told.answer
    error = answer.error or _NO_ERROR
    counting = counting_of(request.method, route, asked.body, told.body)
    usage = read_usage(None if counting is Counting.NEVER else answer.usage, cleaner)
    return Decoded(
        route=route,
        stream=is_stream,
        capture_status=_capture_status(decoder, asked.status, told.status),
        model_asked=cleaner.label(_model_in(asked.body)) or cleaner.label(model_in_path(request.path)),
        model_served=answer.model,
        upstream_id=answer.upstream_id,
        usage=usage,
        counting=counting,
        user=cleaner.label(asked.body.get("safety_identifier")) or cleaner.label(asked.body.get("user")),
        service_tier=answer.service_tier or usage.detail.service_tier,
        finish_reason=answer.finish_reason,
        error_type=error.type,
        error_code=error.code,
        error_message=error.message,
        request_preview=preview_request(asked.messages, cleaner) or _sum_up(decoder, asked.body, cleaner),
        response_preview=preview_answer(answer, cleaner),
        messages=asked.messages + answer.messages,
        lineage=read_lineage(request.path, route, asked.body, told.body, cleaner),
        facts=read_facts(asked.body, told.body, cleaner),
        text_flags=tuple(sorted(cleaner.flags)),
    )


def _model_in(asked: dict[str, object]) -> object:
    """The model that a request names, for itself or for the session or agent that it describes."""
    if asked.get("model"):
        return asked["model"]
    nested = (as_dict(asked.get(name)).get("model") for name in ("session", "agent"))
    return next((model for model in nested if model), None)


def _sum_up(decoder: Decoder | None, asked: dict[str, object], cleaner: TextCleaner) -> str | None:
    if decoder is None or decoder.sum_up is None:
        return None
    return preview_text(decoder.sum_up(asked, cleaner), cleaner)


def has_events(response: Response) -> bool:
    """Whether the answer is a stream of server-sent events; its own content type says so, never the request."""
    return media_type(response.content_type) == "text/event-stream"


@lru_cache(maxsize=256)
def media_type(content_type: str | None) -> str:
    """`text/html` of `Text/HTML; charset=utf-8`."""
    return (content_type or "").partition(";")[0].strip().lower()


def _capture_status(decoder: Decoder | None, asked: str, told: str) -> str:
    if decoder is None:
        return "opaque"
    return max(asked, told, key=SEVERITY.index)


def _read_request(request: Request, decoder: Decoder | None, cleaner: TextCleaner) -> _Half:
    value, status = _request_value(request, cleaner)
    fields = as_dict(value)
    read = decoder.read_request if decoder is not None else None
    is_missing = decoder is not None and (decoder.needs_body or not isinstance(value, dict | None))
    if status == "decoded" and read is not None and not fields and is_missing:
        status = "unreadable"
    messages = read(fields, cleaner) if read is not None and fields else []
    return _Half(status, fields, messages, _NO_ANSWER)


def _request_value(request: Request, cleaner: TextCleaner) -> tuple[object, str]:
    """What the body says, a form as the object that it stands for; an empty text where it is no JSON."""
    if request.form is not None:
        return form_fields(request.form), _form_status(request.form)
    body, status = _undo_codings(request.body, request.content_encoding)
    if body and media_type(request.content_type).startswith("multipart/"):
        form = read_form([body], request.content_type or "")
        return form_fields(form), max(status, _form_status(form), key=SEVERITY.index)
    value = read_json(body, cleaner.flags) if body else None
    return "" if value is None and body.strip() not in (b"", b"null") else value, status


def _form_status(form: Form) -> str:
    if form.is_whole:
        return "decoded"
    return "partial" if form.items else "unreadable"


def _read_response(
    response: Response, decoder: Decoder | None, is_stream: bool, cleaner: TextCleaner
) -> _Half:
    body, status = _undo_codings(response.body, response.content_encoding)
    if status == "decoded" and not response.complete:
        status = "partial"
    is_folded = is_stream and decoder is not None and decoder.fold is not None
    if decoder is not None and decoder.gives_file and not is_folded and 200 <= (response.status or 0) < 300:
        return _read_text(body, response, decoder, status, cleaner)
    if is_stream and decoder is not None and decoder.fold is not None:
        events = read_events(body, cleaner.flags)
        if events.events or events.is_done or not body.lstrip().startswith((b"{", b"[")):
            return _read_stream(events, decoder, decoder.fold, status, cleaner)
    return _read_whole(body, response, decoder, status, cleaner)


def _read_stream(
    events: StreamEvents,
    decoder: Decoder,
    fold: Callable[[StreamEvents, TextCleaner], Fold],
    status: str,
    cleaner: TextCleaner,
) -> _Half:
    folded = fold(events, cleaner)
    answer = decoder.read_answer(folded.value, cleaner)
    if status == "partial" and folded.is_ended:
        # Everything had been said: many clients leave at [DONE].
        status = "decoded"
    if status == "decoded" and (events.unreadable or not folded.is_finished):
        status = "partial"
    return _Half(status, folded.value, [], _with_error(answer, folded.error or answer.error))


def _read_whole(
    body: bytes, response: Response, decoder: Decoder | None, status: str, cleaner: TextCleaner
) -> _Half:
    value = (
        read_json(body, cleaner.flags)
        if body and (decoder is not None or _may_be_json(body, response))
        else None
    )
    if value is None and decoder is not None and decoder.fold is not None and _looks_like_events(body):
        return _read_stream(read_events(body, cleaner.flags), decoder, decoder.fold, status, cleaner)
    if value is None:
        return _read_text(body, response, decoder, status, cleaner)
    takes_any = decoder is not None and decoder.takes_any
    fields: dict[str, object] = as_dict(value)
    if takes_any and isinstance(value, list):
        fields = {"data": value}
    answer = decoder.read_answer(fields, cleaner) if decoder is not None else _read_unknown(fields, cleaner)
    error = read_envelope(value, response.status, cleaner) or answer.error
    if status == "decoded" and not fields and error is None and not takes_any:
        status = "unreadable"
    return _Half(status, fields, [], _with_error(answer, error))


def _read_text(
    body: bytes, response: Response, decoder: Decoder | None, status: str, cleaner: TextCleaner
) -> _Half:
    """An answer that is no JSON: a file, a transcript, a proxy's error page, nothing at all, or damage."""
    if decoder is not None and decoder.read_plain is not None and 200 <= (response.status or 0) < 300:
        answer = decoder.read_plain(body, media_type(response.content_type), cleaner)
        if answer is not None:
            return _Half(status, {}, [], answer)
    is_error = response.status is not None and response.status >= 400
    text = None
    if media_type(response.content_type).startswith("text/"):
        text = preview_text(body[:16_384].decode("utf-8", "replace"), cleaner)
    if response.status is None:
        status = "partial" if status == "decoded" else status
    elif status == "decoded" and not is_error and not (response.status == 204 or response.status == 304):
        status = "unreadable"
    error = ErrorInfo(message=text) if is_error and text else None
    return _Half(status, {}, [], Answer(error=error, summary=text))


def _read_unknown(fields: dict[str, object], cleaner: TextCleaner) -> Answer:
    """What nearly every object of the API has."""
    return Answer(
        upstream_id=cleaner.label(fields.get("id")),
        model=cleaner.label(fields.get("model")),
        usage=fields.get("usage"),
        service_tier=cleaner.label(fields.get("service_tier")),
    )


def _may_be_json(body: bytes, response: Response) -> bool:
    """Not every large file that an unknown endpoint gives is worth a try."""
    return "json" in media_type(response.content_type) and body[:4096].lstrip().startswith((b"{", b"["))


def _looks_like_events(body: bytes) -> bool:
    return body[:4096].lstrip().startswith((b"data:", b"event:", b": "))


def _undo_codings(body: bytes | None, encoding: str | None) -> tuple[bytes, str]:
    """The plain body, and how far it is whole."""
    if body is None:
        return b"", "too_large"
    plain, status = decode_content(body, encoding)
    return plain, _STATUS_OF_CONTENT[status]


def _with_error(answer: Answer, error: ErrorInfo | None) -> Answer:
    return replace(answer, error=error) if error is not None else answer
