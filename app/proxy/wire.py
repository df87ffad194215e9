"""HTTP/1.1 heads and chunks as bytes (RFC 9112, sections 4 to 7). Pure."""

from __future__ import annotations

from app.proxy.upstream import Headers


def head_bytes(status: int, reason: bytes, headers: Headers, *last_lines: bytes) -> bytes:
    """An answer's head, complete with its empty line."""
    lines = [b"HTTP/1.1 %d %s" % (status, reason)]
    lines += [name + b": " + value for name, value in headers]
    lines += last_lines
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def chunk_bytes(data: bytes) -> bytes:
    """One chunk; data may not be empty, since an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk_bytes(trailers: Headers) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"".join([b"0\r\n", *[b"%b: %b\r\n" % field for field in trailers], b"\r\n"])
