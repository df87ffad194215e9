"""What the bench sends and is answered has the sizes that its page names."""

from __future__ import annotations

import json

import httptools
import pytest

from bench import payloads
from bench.upstream import prebuilt_chunks


class _Request:
    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_whole = True


def test_a_request_has_13_fields_and_1870_bytes_of_json_with_its_number() -> None:
    request = _Request()
    parts = payloads.request_parts("127.0.0.1:1", stream=False)
    httptools.HttpRequestParser(request).feed_data(payloads.numbered(parts, 42))
    assert request.is_whole
    assert len(request.fields) == 13
    assert len(request.body) == payloads.REQUEST_BODY_BYTES
    assert "Question 000000000042:" in json.loads(request.body)["messages"][1]["content"]


@pytest.mark.parametrize("body_bytes", [100_000, 1_000_000])
def test_a_large_request_has_the_size_that_it_is_named_for(body_bytes: int) -> None:
    request = _Request()
    parts = payloads.request_parts("127.0.0.1:1", stream=False, upstream="large", body_bytes=body_bytes)
    httptools.HttpRequestParser(request).feed_data(payloads.numbered(parts, 42))
    assert request.is_whole
    assert len(request.body) == body_bytes
    assert "Question 000000000042:" in json.loads(request.body)["messages"][1]["content"]


def test_an_answer_has_1170_bytes_that_fit_into_a_configuration_of_nginx() -> None:
    body = payloads.answer_body()
    assert len(body) == payloads.ANSWER_BODY_BYTES
    assert json.loads(body)["usage"]["total_tokens"] == 540
    assert not set(b"'$\\") & set(body)


def test_a_stream_has_17_fields_and_100_events_of_295_bytes_each_its_own_chunk() -> None:
    answer = _Request()
    httptools.HttpResponseParser(answer).feed_data(b"".join(prebuilt_chunks()))
    assert answer.is_whole
    assert len(answer.fields) == 17
    assert len(prebuilt_chunks()) == payloads.EVENTS
    assert {len(event) for event in payloads.stream_events()[:-1]} == {payloads.EVENT_BYTES}
    assert answer.body == b"".join(payloads.stream_events())


def test_a_chunked_answer_is_whole_only_with_its_last_chunk() -> None:
    wire = b"".join(prebuilt_chunks())
    assert payloads.unchunked(wire) == b"".join(payloads.stream_events())
    assert payloads.unchunked(wire[:-5]) is None
    assert payloads.unchunked(wire[:-100]) is None
