"""Every exchange decodes to something: what is unknown is opaque, what is damaged says so."""

from __future__ import annotations

import gzip
import json

import brotli
import pytest

from app.decode import Decoded, Request, Response, decode_exchange
from tests.decode.reading import answers, decode_whole, fixture

ASK = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}).encode()
TELL = json.dumps(
    {"id": "x", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
).encode()
CHAT = b"/v1/chat/completions"


def decode(request_body: bytes | None = ASK, response_body: bytes | None = TELL, **answer: object) -> Decoded:
    values: dict = {"status": 200, "content_type": "application/json", "body": response_body} | answer
    return decode_exchange(
        Request("POST", CHAT, content_type="application/json", body=request_body), Response(**values)
    )


def test_the_answers_content_type_says_whether_it_streamed_not_the_request() -> None:
    assert decode().stream is False
    streamed = decode(response_body=fixture("chat_plain"), content_type="Text/Event-Stream;charset=UTF-8")
    assert streamed.stream is True


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain"])
def test_a_stream_under_another_content_type_is_read_all_the_same(content_type: str | None) -> None:
    decoded = decode(response_body=fixture("chat_plain"), content_type=content_type)
    assert (decoded.stream, answers(decoded)[0].text, decoded.capture_status) == (False, "Hello", "decoded")


def test_coded_bodies_of_both_halves_are_read() -> None:
    decoded = decode_exchange(
        Request("POST", CHAT, content_encoding="gzip", body=gzip.compress(ASK)),
        Response(200, "text/event-stream", "br", brotli.compress(fixture("chat_plain"))),
    )
    assert (decoded.request_preview, decoded.response_preview, decoded.capture_status) == (
        "Hi",
        "Hello",
        "decoded",
    )


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "decoded"),
        ({"complete": False}, "partial"),
        ({"response_body": TELL[:20]}, "unreadable"),
        ({"response_body": TELL[:20], "complete": False}, "partial"),
        ({"response_body": b""}, "unreadable"),
        ({"response_body": b"[1]"}, "unreadable"),
        ({"response_body": None}, "too_large"),
        ({"response_body": b"x", "content_encoding": "compress"}, "unreadable"),
        ({"response_body": gzip.compress(bytes(9 << 20)), "content_encoding": "gzip"}, "too_large"),
        ({"response_body": gzip.compress(TELL)[:-9], "content_encoding": "gzip"}, "partial"),
        ({"request_body": None}, "too_large"),
        ({"request_body": b"{"}, "unreadable"),
        ({"request_body": b""}, "unreadable"),
        ({"response_body": b"", "status": None, "content_type": None}, "partial"),
        ({"response_body": b"", "status": 500}, "decoded"),
        (
            {"response_body": b"<html>Bad gateway</html>", "status": 502, "content_type": "text/html"},
            "decoded",
        ),
        ({"response_body": b"<html>", "content_type": "text/html"}, "unreadable"),
    ],
)
def test_the_capture_status_says_how_far_an_exchange_could_be_read(change: dict, status: str) -> None:
    assert decode(**change).capture_status == status


def test_the_page_of_a_broken_gateway_is_the_error() -> None:
    decoded = decode(response_body=b"<h1>Bad\n gateway</h1>", status=502, content_type="text/html")
    assert (decoded.error_message, decoded.response_preview) == (
        "<h1>Bad gateway</h1>",
        "<h1>Bad gateway</h1>",
    )


def test_an_error_envelope_is_the_answer() -> None:
    error = {
        "error": {"message": "Incorrect API key", "type": "invalid_request_error", "code": "invalid_api_key"}
    }
    decoded = decode_whole("chat", {"model": "m", "messages": []}, error, 401)
    assert (decoded.error_type, decoded.error_code) == ("invalid_request_error", "invalid_api_key")
    assert (decoded.response_preview, decoded.capture_status) == ("Incorrect API key", "decoded")


def test_azure_puts_the_model_into_the_path() -> None:
    path = b"/openai/deployments/my-gpt/chat/completions"
    decoded = decode_exchange(
        Request("POST", path, body=b'{"messages":[]}'), Response(200, "application/json", None, TELL)
    )
    assert (decoded.model_asked, decoded.route, decoded.capture_status) == (
        "my-gpt",
        "chat/completions",
        "decoded",
    )


def test_what_no_decoder_knows_is_opaque_and_tells_what_it_can() -> None:
    answer = json.dumps({"id": "file-1", "object": "file", "model": "m"}).encode()
    decoded = decode_exchange(
        Request("POST", b"/v1/new/things", content_type="multipart/form-data; boundary=x", body=b"--x--"),
        Response(200, "application/json", None, answer),
    )
    assert (decoded.route, decoded.capture_status, decoded.upstream_id) == ("other", "opaque", "file-1")
    assert decoded.text_flags == ()


def test_bytes_of_an_unknown_kind_are_left_alone() -> None:
    decoded = decode_exchange(
        Request("GET", b"/v1/new/things"),
        Response(200, "application/octet-stream", None, b"\xff\x00\xfe" * 99),
    )
    assert (decoded.capture_status, decoded.text_flags, decoded.messages) == ("opaque", (), [])


def test_a_read_of_what_was_made_before_counts_no_usage_again() -> None:
    body = json.dumps({"id": "resp_1", "model": "m", "usage": {"input_tokens": 1}}).encode()
    decoded = decode_exchange(
        Request("GET", b"/v1/responses/resp_1"), Response(200, "application/json", None, body)
    )
    assert (decoded.usage.source, decoded.upstream_id, decoded.route) == (
        "absent",
        "resp_1",
        "responses/{id}",
    )


def test_a_list_under_the_path_of_a_decoder_is_none_of_its_answers() -> None:
    body = b'{"object": "list", "data": [], "has_more": false}'
    decoded = decode_exchange(Request("GET", CHAT), Response(200, "application/json", None, body))
    assert (decoded.capture_status, decoded.messages) == ("decoded", [])
    assert decoded.response_preview == "0 items"
