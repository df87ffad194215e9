"""Requests that two parsers could read differently, and others that ask for what a proxy must not do."""

from __future__ import annotations

_POST = b"POST /v1/x HTTP/1.1\r\nHost: p\r\n"
_GET = b"GET /v1/x HTTP/1.1\r\nHost: p\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"

LENGTHS = [
    _POST + fields + b"\r\n\r\n" + body
    for fields, body in (
        (b"Content-Length: 4\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 4", b"0\r\n\r\n"),
        (b"Content-Length: 4\r\nContent-Length: 4", b"abcd"),
        (b"Content-Length: 4\r\nContent-Length: 5", b"abcd"),
        (b"Content-Length: 4, 4", b"abcd"),
        (b"Content-Length: -1", b""),
        (b"Content-Length: +4", b"abcd"),
        (b"Content-Length: 0x4", b"abcd"),
        (b"Content-Length: 4_0", b"abcd"),
        (b"Content-Length: 4.0", b"abcd"),
        (b"Content-Length: 4 4", b"abcd"),
        (b"Content-Length: \xd9\xa4", b"abcd"),
        (b"Content-Length: ", b""),
        (b"Content-Length: 99999999999999999999", b"abcd"),
        (b"Content-Length : 4", b"abcd"),
        (b"Content-Length\t: 4", b"abcd"),
        (b"Content-Length\x00: 4", b"abcd"),
        (b" Content-Length: 4", b"abcd"),
        (b"\x0bContent-Length: 4", b"abcd"),
        (b"Content-Length: 4\x00", b"abcd"),
        (b"Content-Length:\n4", b"abcd"),
        (b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked, chunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding: identity", b""),
        (b"Transfer-Encoding: xchunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunkedx", b"0\r\n\r\n"),
        (b'Transfer-Encoding: "chunked"', b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked;q=1", b"0\r\n\r\n"),
        (b"Transfer-Encoding: ,chunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding:\x0bchunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding: \x00chunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding : chunked", b"0\r\n\r\n"),
        (b" Transfer-Encoding: chunked", b"0\r\n\r\n"),
        (b"X: a\r\n Transfer-Encoding: chunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding:\r\n chunked", b"0\r\n\r\n"),
        (b"X: a\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        (b"X: a\rTransfer-Encoding: chunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n"),
        (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    )
]
CHUNKS = [
    _CHUNKED + body
    for body in (
        b"0x1\r\na\r\n0\r\n\r\n",
        b"+1\r\na\r\n0\r\n\r\n",
        b"-1\r\na\r\n0\r\n\r\n",
        b" 1\r\na\r\n0\r\n\r\n",
        b"1_0\r\na\r\n0\r\n\r\n",
        b"g\r\na\r\n0\r\n\r\n",
        b"\r\na\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\na\r\n0\r\n\r\n",
        b"10000000000000001\r\na\r\n0\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"1\r\na0\r\n\r\n",
        b"1\na\n0\n\n",
        b"1\ra\r0\r\r",
        b"1;\na\r\n0\r\n\r\n",
        b"1;a\nb\r\na\r\n0\r\n\r\n",
        b"1\r\na\r\n0\r\nX: a\nb\r\n\r\n",
        b"1\r\na\r\n0\r\n X: a\r\n\r\n",
    )
]
HEADS = [
    b"POST /v1/x HTTP/1.0\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /v1/x HTTP/1.1\nHost: p\n\n",
    b"GET /v1/x HTTP/1.1\r\nHost: p\n\r\n",
    _GET + b"X: a\r\n b\r\n\r\n",
    _GET + b"X: a\r\n\tb\r\n\r\n",
    _GET + b"X: a\rb\r\n\r\n",
    _GET + b"X: a\x00b\r\n\r\n",
    _GET + b"X\r\n\r\n",
    _GET + b": a\r\n\r\n",
    _GET + b"X y: a\r\n\r\n",
    _GET + b"X(y): a\r\n\r\n",
    _GET + b"X\xff: a\r\n\r\n",
    _GET + b"Host: q\r\n\r\n",
    _GET + b"Host: p\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: p, q\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: p q\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: p/\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: u@p\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: e/abc?x=\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: p:port\r\n\r\n",
    b"GET /v1/x\r\n\r\n",
    b"GET /v1/x HTTP/0.9\r\n\r\n",
    b"GET /v1/x HTTP/1.2\r\nHost: p\r\n\r\n",
    b"GET /v1/x HTTP/2.0\r\nHost: p\r\n\r\n",
    b"GET /v1/x HTTP/11\r\nHost: p\r\n\r\n",
    b"GET /v1/x http/1.1\r\nHost: p\r\n\r\n",
    b"GET /v1/x HTTP/1.1 \r\nHost: p\r\n\r\n",
    b"GET\t/v1/x\tHTTP/1.1\r\nHost: p\r\n\r\n",
    b"get /v1/x HTTP/1.1\r\nHost: p\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"TRACE /v1/x HTTP/1.1\r\nHost: p\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"CONNECT /v1/x HTTP/1.1\r\nHost: p\r\n\r\n",
    _GET + b"Connection: Host\r\n\r\n",
    _POST + b"Content-Length: 4\r\nConnection: Content-Length\r\n\r\nabcd",
    _GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
    _POST + b"Content-Length: 0\r\nExpect: 200-maybe\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]
TARGETS = [
    b"GET " + target + b" HTTP/1.1\r\nHost: p\r\n\r\n"
    for target in (
        b"@evil.example/v1/x",
        b".evil.example/v1/x",
        b"/v1/../x",
        b"/v1/%2e%2e/x",
        b"/v1/\\x",
        b"/v1/x%00",
        b"/v1/x%0d%0aX:%20y",
        b"/v1/\xc0\xaf",
    )
]
PLAIN_ENDS = [
    b"GET http://evil.example/v1/x HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET http://p/v1/x HTTP/1.1\r\nHost: q\r\n\r\n",
    b"GET //evil.example/v1/x HTTP/1.1\r\nHost: p\r\n\r\n",
    b"GET /v1/x#y HTTP/1.1\r\nHost: p\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: p\r\n\r\n",
]
"""Where they end is plain. To the plain shell they are a path, or none of an upstream's: what follows is a request."""
SMUGGLING = LENGTHS + CHUNKS + HEADS + TARGETS + PLAIN_ENDS
