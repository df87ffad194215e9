"""Transcripts to records: the heads' plain facts, and what a decoder reads from the bodies.

A record is always made. What cannot be read is said by `capture_status`; text is made safe for PostgreSQL here.
"""

from __future__ import annotations

import datetime
from dataclasses import replace

from app.clock import id_milliseconds, utc_from_ns
from app.decode import Decoded, Request, Response, decode_exchange, decode_session
from app.decode.multipart import Form, read_form
from app.decode.said import said_texts
from app.decode.slices import cut_body
from app.errors import FrameError
from app.exchange import AnswerHead, Begin, End, KeptHeaders, LogMode, Outcome, Slice
from app.frozen import value
from app.recorder.bodies import whole_body
from app.recorder.charges import charged_usage
from app.recorder.prices import PricedCall, Prices
from app.recorder.talk import talk_of
from app.recorder.transcript import Transcript
from app.store.writing.record import BodySource, Content, Record, Talk, Usage
from app.telemetry.logs import event_logger

MAX_DECODED_BYTES = 16 << 20
MAX_PASSED_BYTES = 512 << 20
"""Of sessions and forms, which are read piece by piece: most of an hour of sound, the largest file of an upload."""
SWITCHED = 101
"""The status after which both bodies are the two directions of a session."""
MAX_LABEL_CHARACTERS = 256
MAX_TAGS = 32
MAX_TEXT_CHARACTERS = 2_048
MAX_TARGET_CHARACTERS = 65_536
MAX_INT8 = (1 << 63) - 1
FIELDS = frozenset(
    {b"content-type", b"content-encoding", b"sec-websocket-extensions", b"x-stainless-retry-count"}
)
"""Header fields that are read here."""
DEFAULT_PROJECT = "default"
DEFAULT_UPSTREAM = "v1"
_LAST_NS = 253_402_300_799 * 1_000_000_000
"""The last second of the year 9999, where datetime ends."""

_events = event_logger("recorder")


@value
class _Heads:
    """What stands in the heads, with values for what was lost."""

    begin: Begin
    head: AnswerHead | None
    end: End
    asked: dict[bytes, str]
    """Fields of the request's head that mean something here (FIELDS), by lower name."""
    told: dict[bytes, str]
    """The same of the answer's."""

    @property
    def request_type(self) -> str | None:
        """Content-Type of the request."""
        return self.asked.get(b"content-type")

    @property
    def request_encoding(self) -> str | None:
        """Content-Encoding of the request."""
        return self.asked.get(b"content-encoding")


def make_record(transcript: Transcript, prices: Prices | None = None) -> Record:
    """The record of an exchange that has ended; without `prices` nothing has a cost.

    Raises FrameError where its bodies cannot be read again.
    """
    heads = _heads_of(transcript)
    keeps_content = heads.begin.mode == LogMode.FULL.value and transcript.begin is not None
    request = transcript.request_body()
    response = transcript.response_body()
    decoded, cut = _decode(heads, request, response)
    content = None
    if keeps_content and heads.begin.bodies_kept:
        answer = response if heads.head is not None else None
        content = _content(transcript, heads, request, answer, decoded, cut)
    elif keeps_content:
        content = _content(transcript, heads, None, None, None)
    usage = charged_usage(decoded, _priced_call(heads, decoded), prices)
    return _record(transcript, heads, decoded, content, usage)


def raw_only(record: Record) -> Record:
    """The same with nothing that was derived: for an exchange that PostgreSQL does not take as it is."""
    content = record.content
    if content is not None:
        content = replace(content, request_preview=None, response_preview=None, facts=None, said=())
    return replace(
        record,
        capture_status="unreadable",
        usage=Usage(),
        tags={},
        model=None,
        model_served=None,
        upstream_id=None,
        finish_reason=None,
        service_tier=None,
        error_type=None,
        error_code=None,
        talk=None,
        content=content,
    )


def without_bodies(transcript: Transcript) -> Record:
    """The row of an exchange whose segments cannot be read again."""
    heads = _heads_of(transcript)
    decoded = decode_exchange(_request(heads, None), _response(heads, None))
    return replace(_record(transcript, heads, decoded, None, Usage()), capture_status="partial")


def text(value: str, longest: int = MAX_TEXT_CHARACTERS) -> str:
    """Text that PostgreSQL takes: no NUL, no lone surrogates, at most `longest` characters."""
    if value.isascii() and len(value) <= longest and "\0" not in value:
        return value
    value = value[:longest].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value.encode("utf-8", "replace").decode("utf-8")


def label(value: str | None, longest: int = MAX_LABEL_CHARACTERS) -> str | None:
    """The same for text that stands in an index; None where there is none."""
    return text(value, longest) if value else None


def _heads_of(transcript: Transcript) -> _Heads:
    end = transcript.end
    if end is None:
        raise AssertionError(f"{transcript!r} has not ended")
    begin = transcript.begin
    if begin is None:
        # Damaged. Whether bodies may be kept was in it, so none are.
        begin = Begin(
            accept_number=-1,
            boot=transcript.chain[0],
            slot=transcript.chain[1],
            wall_ns=id_milliseconds(transcript.id) * 1_000_000,
            mode=LogMode.METADATA.value,
            method="",
            target=b"",
            upstream="",
            authority="",
            http_version="",
            headers=[],
            project=DEFAULT_PROJECT,
        )
    answer = transcript.head.headers if transcript.head is not None else []
    return _Heads(
        begin,
        transcript.head,
        end,
        _fields(begin.headers),
        _fields(answer),
    )


def _record(
    transcript: Transcript, heads: _Heads, decoded: Decoded, content: Content | None, usage: Usage
) -> Record:
    """The row. What is read from a body besides model, usage and how it ended is there only with its content."""
    begin, head, end = heads.begin, heads.head, heads.end
    request = content.request_body if content is not None else None
    response = content.response_body if content is not None else None
    path, _, query = begin.target.partition(b"?")
    first_ns, last_ns = transcript.first_body_ns, transcript.last_monotonic_ns
    has_begin = transcript.begin is not None
    return Record(
        id=transcript.id,
        project=text(begin.project, MAX_LABEL_CHARACTERS) or DEFAULT_PROJECT,
        boot=text(begin.boot),
        slot=begin.slot if 0 <= begin.slot < 1 << 15 else -1,
        accept_number=min(max(begin.accept_number, -1), MAX_INT8),
        started_at=_time(begin.wall_ns),
        duration_us=transcript.microseconds_at(last_ns) if has_begin else 0,
        ttft_us=transcript.microseconds_at(first_ns) if has_begin and first_ns is not None else None,
        method=text(begin.method, MAX_LABEL_CHARACTERS),
        path=_target_text(path),
        query=_target_text(query),
        route=decoded.route,
        upstream=text(begin.upstream, MAX_LABEL_CHARACTERS),
        authority=text(begin.authority),
        http_version=text(begin.http_version, MAX_LABEL_CHARACTERS),
        outcome=text(end.outcome, MAX_LABEL_CHARACTERS),
        capture_status=_capture_status(transcript, heads.end, decoded),
        log_mode=text(begin.mode, MAX_LABEL_CHARACTERS),
        stream=decoded.stream,
        request_bytes=_count(end.request_bytes),
        response_bytes=_count(end.response_bytes),
        request_complete=end.request_complete,
        reason=label(end.reason),
        detail=text(end.detail) if end.detail else None,
        status=head.status if head is not None and 0 <= head.status < 1 << 15 else None,
        request_sha256=request.sha256 if request is not None else None,
        response_sha256=response.sha256 if response is not None else None,
        request_content_type=heads.request_type,
        request_content_encoding=heads.request_encoding,
        response_content_type=heads.told.get(b"content-type"),
        response_content_encoding=heads.told.get(b"content-encoding"),
        model=label(decoded.model_asked),
        model_served=label(decoded.model_served),
        finish_reason=label(decoded.finish_reason),
        service_tier=label(decoded.service_tier),
        error_type=label(decoded.error_type),
        error_code=label(decoded.error_code),
        usage=usage,
        upstream_id=label(decoded.upstream_id) if request is not None else None,
        user=label(begin.user) or (label(decoded.user) if request is not None else None),
        key=label(begin.key),
        key_tail=label(begin.key_tail),
        conversation=label(begin.conversation),
        tags={text(name, 64): text(value, 256) for name, value in list(begin.tags.items())[:MAX_TAGS]},
        retry_count=_retry_count(heads.asked.get(b"x-stainless-retry-count", "")),
        talk=_talk(decoded) if request is not None else None,
        content=content,
    )


def _content(
    transcript: Transcript,
    heads: _Heads,
    request: BodySource | None,
    response: BodySource | None,
    decoded: Decoded | None,
    cut: list[Slice] | None = None,
) -> Content:
    return Content(
        request_headers=heads.begin.headers,
        response_headers=heads.head.headers if heads.head is not None else None,
        trailers=heads.end.trailers,
        request_body=request,
        response_body=response,
        chunk_times=transcript.chunk_times(),
        request_preview=decoded.request_preview if decoded is not None else None,
        response_preview=decoded.response_preview if decoded is not None else None,
        facts=decoded.facts if decoded is not None else None,
        request_cut=cut,
        said=said_texts(decoded) if decoded is not None else (),
    )


def _decode(heads: _Heads, request: BodySource, response: BodySource) -> tuple[Decoded, list[Slice] | None]:
    """What an exchange means, and where its request's body is cut; what is coded or too large is not."""
    asked: bytes | None = b""
    told: bytes | None = b""
    if heads.begin.bodies_kept:
        asked, told = _readable(request), _readable(response)
    try:
        is_large = asked is None or told is None
        if is_large and heads.head is not None and heads.head.status == SWITCHED:
            return _decode_session(heads, request, response), None
        form = _large_form(heads, request) if asked is None else None
        decoded = decode_exchange(_request(heads, asked, form), _response(heads, told))
        return decoded, cut_body(asked) if asked and heads.request_encoding is None else None
    except FrameError:
        raise
    except Exception as error:  # noqa: BLE001 - a decoder's fault must not stop what is recorded
        _events.exception("decoder_failed", error)
        return Decoded(route="other", stream=False, capture_status="unreadable"), None


def _decode_session(heads: _Heads, client: BodySource, server: BodySource) -> Decoded:
    """A session that is too large to be held is read piece by piece, unless it is larger still."""
    halves = [body.slices() if body.length_bytes <= MAX_PASSED_BYTES else None for body in (client, server)]
    return decode_session(_request(heads, None), _response(heads, None), *halves)


def _large_form(heads: _Heads, body: BodySource) -> Form | None:
    """What a form holds that is too large to be held itself; its files are their digests."""
    kind = heads.request_type or ""
    if not kind.lower().startswith("multipart/") or heads.request_encoding is not None:
        return None
    return read_form(body.slices(), kind) if body.length_bytes <= MAX_PASSED_BYTES else None


def _talk(decoded: Decoded) -> Talk | None:
    try:
        return talk_of(decoded)
    except Exception as error:  # noqa: BLE001 - what cannot be joined is recorded all the same
        _events.exception("talk_unreadable", error)
        return None


def _readable(body: BodySource) -> bytes | None:
    return whole_body(body) if body.length_bytes <= MAX_DECODED_BYTES else None


def _request(heads: _Heads, body: bytes | None, form: Form | None = None) -> Request:
    begin = heads.begin
    return Request(
        method=begin.method,
        path=_path_upstream(begin),
        query=begin.target.partition(b"?")[2],
        content_type=heads.request_type,
        content_encoding=heads.request_encoding,
        body=body,
        form=form,
    )


def _path_upstream(begin: Begin) -> bytes:
    """The path that the upstream sees, without the name under which the client reached it."""
    path = begin.target.partition(b"?")[0]
    return path if begin.upstream == DEFAULT_UPSTREAM else path.removeprefix(b"/" + begin.upstream.encode())


def _response(heads: _Heads, body: bytes | None) -> Response:
    head = heads.head
    if head is None:
        return Response(complete=False)
    return Response(
        status=head.status,
        content_type=heads.told.get(b"content-type"),
        content_encoding=heads.told.get(b"content-encoding"),
        body=body,
        complete=heads.end.outcome == Outcome.COMPLETED.value,
        extensions=heads.told.get(b"sec-websocket-extensions"),
    )


def _capture_status(transcript: Transcript, end: End, decoded: Decoded) -> str:
    """The decoder's word, unless bytes are missing that the client saw, or none were to be kept."""
    if transcript.begin is not None and not transcript.begin.bodies_kept:
        return "opaque"
    if transcript.has_gap or end.gap or transcript.begin is None:
        return "partial"
    return text(decoded.capture_status)


def _priced_call(heads: _Heads, decoded: Decoded) -> PricedCall:
    begin = heads.begin
    return PricedCall(
        url=begin.authority + _path_upstream(begin).decode("latin-1"),
        route=decoded.route,
        model_asked=decoded.model_asked,
        model_served=decoded.model_served,
        service_tier=decoded.service_tier,
        started_at=_time(begin.wall_ns),
    )


def _fields(headers: KeptHeaders) -> dict[bytes, str]:
    """The values of FIELDS, those of one name joined as HTTP joins them."""
    found: dict[bytes, list[bytes]] = {}
    for name, each in headers:
        if (lower := name.lower()) in FIELDS:
            found.setdefault(lower, []).append(each)
    return {name: text(b", ".join(values).decode("utf-8", "replace"), 512) for name, values in found.items()}


def _retry_count(value: str) -> int:
    return min(int(value), 1 << 20) if value.isascii() and value.isdecimal() and len(value) < 10 else 0


def _target_text(target: bytes) -> str:
    return text(target.decode("utf-8", "replace"), MAX_TARGET_CHARACTERS)


def _time(wall_ns: int) -> datetime.datetime:
    return utc_from_ns(min(max(wall_ns, 0), _LAST_NS))


def _count(number: int) -> int:
    return min(max(number, 0), MAX_INT8)
