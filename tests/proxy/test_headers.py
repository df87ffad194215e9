"""Heads: what is refused, what goes on, in which bytes."""

import pytest

from app.proxy.answer_heads import head_of
from app.proxy.headers import (
    RequestHead,
    first_segment,
    forwarded_target,
    request_head_bytes,
    target_refusal,
)
from app.proxy.upstream import StatusLine, Upstream

OPENAI = Upstream("v1", "https", "api.openai.com", 443)
GROQ = Upstream("groq", "https", "api.groq.com", 443, b"/openai")


def head(
    *fields: tuple[bytes, bytes], method: bytes = b"POST", target: bytes = b"/v1/x", version: bytes = b"1.1"
) -> RequestHead:
    return RequestHead(method, target, version, [(b"Host", b"127.0.0.1:8080"), *fields])


def code(request: RequestHead) -> str | None:
    return request.refusal.code if request.refusal else None


def test_fields_keep_order_case_and_duplicates_and_only_host_changes():
    request = RequestHead(
        b"POST",
        b"/v1/chat/completions?a=%2F",
        b"1.1",
        [(b"X-Two", b"1"), (b"hOsT", b"proxy"), (b"X-Two", b"2"), (b"Content-Length", b"3")],
    )
    assert request.refusal is None
    assert request_head_bytes(request, OPENAI) == (
        b"POST /v1/chat/completions?a=%2F HTTP/1.1\r\nX-Two: 1\r\nhOsT: api.openai.com\r\nX-Two: 2\r\n"
        b"Content-Length: 3\r\n\r\n"
    )


def test_hop_by_hop_own_and_named_fields_do_not_go_on():
    request = head(
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"1"),
        (b"TE", b"trailers"),
        (b"Expect", b"100-continue"),
        (b"X-Verbatim-User", b"ann"),
        (b"Proxy-Authorization", b"secret"),
        (b"Authorization", b"Bearer k"),
        (b"Transfer-Encoding", b"chunked"),
    )
    assert request.refusal is None
    assert request.own_fields == {b"user": b"ann"}
    assert request_head_bytes(request, OPENAI) == (
        b"POST /v1/x HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer k\r\nTransfer-Encoding: chunked\r\n\r\n"
    )


def test_a_named_upstream_gets_the_target_without_its_name_behind_its_prefix():
    request = head(target=b"/groq/v1/models?x=1", method=b"GET")
    assert request_head_bytes(request, GROQ).startswith(b"GET /openai/v1/models?x=1 HTTP/1.1\r\n")
    assert forwarded_target(b"/groq", GROQ) == b"/"
    assert forwarded_target(b"/groq?x", GROQ) == b"/?x"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")], "ambiguous_length"),
        ([(b"Content-Length", b"3"), (b"Content-Length", b"3")], "ambiguous_length"),
        ([(b"Content-Length", b"+3")], "bad_content_length"),
        ([(b"Content-Length", b"3, 3")], "bad_content_length"),
        ([(b"Content-Length", b"9" * 30)], "bad_content_length"),
        ([(b"Transfer-Encoding", b"gzip, chunked")], "bad_transfer_encoding"),
        ([(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")], "bad_transfer_encoding"),
        ([(b"Transfer-Encoding", b"\x0bchunked")], "bad_transfer_encoding"),
        ([(b"Host", b"other")], "bad_host"),
        ([(b"Connection", b"content-length")], "bad_connection"),
        ([(b"Expect", b"a-pony")], "bad_expectation"),
        ([(b"Connection", b"upgrade"), (b"Upgrade", b"websocket")], "bad_upgrade"),
        ([(b"Connection", b"upgrade"), (b"Upgrade", b"websocket, h2c")], "upgrade_unsupported"),
        ([(b"Connection", b"upgrade"), (b"Upgrade", b"H2C")], "upgrade_unsupported"),
        ([(b"Connection", b"upgrade"), (b"Upgrade", b"")], "upgrade_unsupported"),
        ([(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c")], "upgrade_unsupported"),
        ([(b"X", b"1")] * 100, "too_many_fields"),
        ([(b"X", b"1" * 17000)], "field_too_large"),
        ([(b"X", b"1" * 15000)] * 5, "head_too_large"),
        ([(b"X", b"a\r\nb: c")], "bad_field"),
        ([(b"X", b"a\x00")], "bad_field"),
        ([(b"X Y", b"a")], "bad_field"),
    ],
)
def test_ambiguous_or_oversized_heads_are_refused(fields, expected):
    assert code(head(*fields)) == expected


def test_a_host_is_needed_in_1_1_and_must_be_one():
    assert code(RequestHead(b"GET", b"/v1/x", b"1.1", [])) == "bad_host"
    assert code(RequestHead(b"GET", b"/v1/x", b"1.0", [])) is None
    assert code(RequestHead(b"GET", b"/v1/x", b"1.1", [(b"Host", b"e/abc?x=")])) == "bad_host"
    assert code(RequestHead(b"GET", b"/v1/x", b"1.1", [(b"Host", b"[::1]:80")])) is None
    assert code(RequestHead(b"GET", b"/v1/x", b"0.9", [(b"Host", b"h")])) == "bad_version"
    assert code(head((b"Transfer-Encoding", b"chunked"), version=b"1.0")) == "bad_transfer_encoding"


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE", b"PRI", b"PROPFIND"])
def test_methods_outside_the_list_are_refused(method):
    assert code(head(method=method)) == "method_not_allowed"


@pytest.mark.parametrize(
    "target",
    [
        b"@evil.example/v1/x",
        b".evil.example/v1",
        b"http://evil/v1/x",
        b"//evil/v1",
        b"*",
        b"",
        b"/v1\\..\\x",
        b"/v1/../x",
        b"/v1/..",
        b"/v1/.",
        b"/v1/%2e%2e/x",
        b"/v1/.%2E/x",
        b"/v1/%2e?x",
        b"/v1/a b",
        b"/v1/%00",
        b"/v1/%0d%0aX:1",
        b"/v1/\x7f",
        b"/v1/\xff",
        b"/v1/#f",
    ],
)
def test_tricky_targets_are_refused(target):
    refusal = target_refusal(target)
    assert refusal is not None and refusal.code == "bad_target"


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/models/meta-llama%2FLlama-3:free",
        b"/v1/a..b/...",
        b"/v1/x?q=../..&u=http://e/",
        b"/v1//x",
        b"/v1/.well",
        b"/",
    ],
)
def test_plain_targets_pass_raw(target):
    assert target_refusal(target) is None


def test_an_upgrade_is_one_only_where_connection_names_it():
    fields = ((b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", b"x"))
    plain = head(*fields, method=b"GET")
    assert plain.refusal is None and plain.upgrade is None
    assert b"Upgrade" not in request_head_bytes(plain, OPENAI)
    asked = head((b"Connection", b"keep-alive, Upgrade"), *fields, method=b"GET")
    assert asked.refusal is None and asked.upgrade == b"websocket"
    assert request_head_bytes(asked, OPENAI).endswith(
        b"\r\nSec-WebSocket-Key: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


def test_only_the_first_raw_segment_routes():
    assert first_segment(b"/v1/models?limit=2") == b"v1"
    assert first_segment(b"/groq?x=/v1") == b"groq"
    assert first_segment(b"/%761/models") == b"%761"
    assert first_segment(b"/v1") == b"v1"


def test_answers_keep_all_but_hop_by_hop_fields():
    headers = [
        (b"Set-Cookie", b"a"),
        (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Set-Cookie", b"b"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Verbatim-Exchange-Id", b"forged"),
        (b"Content-Encoding", b"br"),
    ]
    answer = head_of(StatusLine(200, b"OK", b"1.1"), headers, None, chunked=True, bodyless=False)
    assert answer.passed == [b"Set-Cookie: a", b"Set-Cookie: b", b"Content-Encoding: br"]
    assert answer.headers == headers
