"""HTTP/1.1 heads and chunks as bytes (RFC 9112, sections 4 to 7). Pure."""

from __future__ import annotations

from app.proxy.upstream import Headers


def head_bytes(status_line: bytes, fields: list[bytes], *last_fields: bytes) -> bytes:
    """An answer's head from its lines, complete with its empty line."""
    return b"\r\n".join((status_line, *fields, *last_fields, b"\r\n"))


def chunk_bytes(data: bytes) -> bytes:
    """One chunk; data may not be empty, since an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk_bytes(trailers: Headers) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"".join([b"0\r\n", *[b"%b: %b\r\n" % field for field in trailers], b"\r\n"])
