from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import Any

import msgspec
import pytest

from app.exchange import Begin, FrameType
from app.recorder.assemble import Assembler
from app.recorder.bodies import whole_body
from app.recorder.record import MAX_DECODED_BYTES, make_record, raw_only, without_bodies
from app.recorder.transcript import Transcript
from tests.recorder.frames import ANSWER, JSON, REQUEST, Shelf, begin_of, encode, frames_of

SECRET = b"the-word-that-must-stay-here"


def transcript_of(begin: Begin | None = None, **kind: Any) -> Transcript:
    assembler, shelf = Assembler(), Shelf()
    frames = frames_of(begin, **kind)
    ended = [assembler.take(shelf.segment, frame) for frame in shelf.put(frames)]
    assert ended[-1] is not None
    return ended[-1]


def test_a_record_says_what_was_asked_and_answered() -> None:
    begin = begin_of(
        7, user="ann", key="0123456789abcdef", key_tail="wxyz", conversation="c1", tags={"team": "a"}
    )
    record = make_record(transcript_of(begin, pieces=2))
    assert (record.path, record.query, record.method) == ("/v1/chat/completions", "x=1", "POST")
    assert (record.route, record.model, record.model_served) == (
        "chat/completions",
        "gpt-4o-mini",
        "gpt-4o-mini-2024-07-18",
    )
    assert (record.status, record.outcome, record.capture_status) == (200, "completed", "decoded")
    assert (record.usage.input_tokens, record.usage.output_tokens) == (9, 2)
    assert (record.user, record.key, record.key_tail, record.conversation) == (
        "ann",
        "0123456789abcdef",
        "wxyz",
        "c1",
    )
    assert record.tags == {"team": "a"}
    assert (record.accept_number, record.boot, record.slot) == (7, "0a0b0c0d", 0)
    assert (record.request_bytes, record.response_bytes) == (len(REQUEST), len(ANSWER))
    assert record.request_sha256 == hashlib.sha256(REQUEST).digest()
    assert record.response_sha256 == hashlib.sha256(ANSWER).digest()
    assert (record.ttft_us, record.duration_us) == (3_000, 5_000)
    assert record.finish_reason == "stop"
    assert record.upstream_id == "chatcmpl-1"
    content = record.content
    assert content is not None and content.request_body is not None and content.response_body is not None
    assert whole_body(content.request_body) == REQUEST
    assert whole_body(content.response_body) == ANSWER
    assert content.request_headers == JSON
    assert "hello" in (content.request_preview or "")


def test_metadata_keeps_nothing_of_the_bodies() -> None:
    request = REQUEST.replace(b'"messages"', b'"user":"%s","messages"' % SECRET).replace(b"Say", SECRET)
    answer = ANSWER.replace(b"Hello", SECRET).replace(b"chatcmpl-1", SECRET)
    record = make_record(transcript_of(begin_of(mode="metadata"), request=request, answer=answer))
    assert record.content is None
    assert (record.request_sha256, record.response_sha256) == (None, None)
    assert SECRET.decode() not in repr(record)
    assert (record.model, record.usage.total_tokens) == ("gpt-4o-mini", 11)
    assert (record.request_bytes, record.response_bytes) == (len(request), len(answer))


def test_a_route_whose_bodies_are_secret_has_content_without_bodies() -> None:
    frames = [
        each
        for each in frames_of(begin_of(bodies_kept=False))
        if each.kind not in (FrameType.REQUEST_CHUNK, FrameType.RESPONSE_CHUNK)
    ]
    assembler, shelf = Assembler(), Shelf()
    frames = [replace(each, sequence=number) for number, each in enumerate(frames)]
    ended = [assembler.take(shelf.segment, frame) for frame in shelf.put(frames)]
    assert ended[-1] is not None
    record = make_record(ended[-1])
    assert record.content is not None
    assert (record.content.request_body, record.content.response_body) == (None, None)
    assert (record.request_sha256, record.response_sha256) == (None, None)
    assert record.request_bytes == len(REQUEST)
    assert record.capture_status == "opaque"


def test_a_large_body_is_kept_and_not_decoded() -> None:
    body = b'{"model":"m","input":"' + b"x" * MAX_DECODED_BYTES + b'"}'
    record = make_record(transcript_of(request=body, pieces=1))
    assert record.capture_status == "too_large"
    assert record.request_sha256 == hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"method": "P\0ST", "target": b"/v1/\xff\0\xc3?\xed\xa0\x80"},
        {"user": "a\0b" * 500, "conversation": "\0", "key": "\0"},
        {"tags": {"a\0": "b\0" * 400} | {str(n): "" for n in range(100)}},
        {"headers": [(b"Content-Type", b"\0\xff" * 999), (b"x-stainless-retry-count", b"9" * 50)]},
        {"wall_ns": 1 << 62},
        {"wall_ns": -5},
        {"slot": 1 << 40, "accept_number": 1 << 63},
        {"project": "\0"},
        {"mode": "none of them"},
    ],
)
def test_no_head_makes_a_record_that_postgresql_refuses(change: dict[str, Any]) -> None:
    record = make_record(transcript_of(begin_of(**change)))
    for name in (each.name for each in fields(record)):
        value = getattr(record, name)
        if isinstance(value, str):
            assert "\0" not in value and value.encode("utf-8")
    msgspec.json.encode(record.tags)
    assert "\0" not in str(record.tags) and len(record.tags) <= 32
    assert -1 <= record.slot < 1 << 15
    assert -1 <= record.accept_number < 1 << 63
    assert 0 <= record.retry_count < 1 << 31
    assert len(record.user or "") <= 256
    assert record.project
    assert record.content is None or record.log_mode == "full"


def test_text_that_a_body_names_is_safe_as_well() -> None:
    body = b'{"model":"a\\u0000b\\ud800","user":"\\u0000","messages":[{"role":"user","content":"\\u0000"}]}'
    record = make_record(transcript_of(request=body))
    for value in (record.model, record.user, record.content and record.content.request_preview):
        assert isinstance(value, str) and "\0" not in value and value.encode()


def test_an_exchange_with_a_gap_is_partial() -> None:
    assembler, shelf = Assembler(), Shelf()
    frames = frames_of(pieces=4)
    ended = [assembler.take(shelf.segment, frame) for frame in shelf.put(frames[:4] + frames[5:])]
    assert ended[-1] is not None
    record = make_record(ended[-1])
    assert record.capture_status == "partial"
    assert record.response_bytes == len(ANSWER)
    assert record.content is not None and record.content.response_body is not None
    assert record.content.response_body.length_bytes < len(ANSWER)


def test_without_its_begin_an_exchange_keeps_its_row_and_no_bodies() -> None:
    assembler, shelf = Assembler(), Shelf()
    assembler.saw_damage(shelf.segment.chain)
    ended = [assembler.take(shelf.segment, frame) for frame in shelf.put(frames_of()[1:])]
    assert ended[-1] is not None
    record = make_record(ended[-1])
    assert record.content is None
    assert (record.status, record.outcome, record.capture_status) == (200, "completed", "partial")
    assert (record.boot, record.accept_number, record.duration_us) == ("0a0b0c0d", -1, 0)


def test_an_exchange_that_was_refused_has_no_answer() -> None:
    assembler, shelf = Assembler(), Shelf()
    frames = [each for each in frames_of() if each.kind in (FrameType.BEGIN, FrameType.END)]
    frames = [replace(each, sequence=number) for number, each in enumerate(frames)]
    ended = [assembler.take(shelf.segment, frame) for frame in shelf.put(frames)]
    assert ended[-1] is not None
    record = make_record(ended[-1])
    assert (record.status, record.ttft_us, record.response_sha256) == (None, None, None)
    assert record.content is not None
    assert (record.content.response_headers, record.content.response_body) == (None, None)


def test_the_path_below_a_named_upstream_is_read_like_any_other() -> None:
    record = make_record(transcript_of(begin_of(target=b"/groq/v1/chat/completions", upstream="groq")))
    assert (record.path, record.route) == ("/groq/v1/chat/completions", "chat/completions")


def test_what_postgresql_refuses_is_tried_with_nothing_derived() -> None:
    transcript = transcript_of()
    bare = raw_only(make_record(transcript))
    assert bare.content is not None and bare.content.response_body is not None
    assert (bare.usage.verbatim, bare.model, bare.tags, bare.content.request_preview) == (
        None,
        None,
        {},
        None,
    )
    assert whole_body(bare.content.response_body) == ANSWER
    assert without_bodies(transcript).content is None


def test_frames_may_be_appended_to_by_a_later_version() -> None:
    payload = msgspec.msgpack.decode(encode(begin_of(3)))
    frames = frames_of()
    frames[0] = replace(frames[0], payload=encode([*payload, "new", {"field": 1}]))
    assembler, shelf = Assembler(), Shelf()
    ended = [assembler.take(shelf.segment, frame) for frame in shelf.put(frames)]
    assert ended[-1] is not None and make_record(ended[-1]).accept_number == 3
