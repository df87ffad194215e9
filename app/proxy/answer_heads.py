"""Heads of answers, read line by line: a line that was seen before is not looked at again.

The heads of one upstream differ in a few lines (date, request id, what is left of a limit), the rest are the same bytes
again and again. Only the plainest heads are read here: HTTP/1.1, one `Content-Length` or `chunked` or neither, fields
of proper characters on a line each. Whatever else there is (1xx, HTTP/1.0, folded lines, a `Connection` that is more
than `keep-alive`) is not judged here but left to llhttp (`answer_parser.py`); a test holds both to the same reading.
"""

from __future__ import annotations

import re

from app.proxy.headers import is_own, is_taken_off
from app.proxy.upstream import Headers, HeadLine, ResponseHead, StatusLine

_REMEMBERED = 4096
_LONGEST_HEAD_BYTES = 16 << 10
_LONGEST_LINE_BYTES = 1 << 10
_MOST_LINES = 200
_NO_BODY = (b"204", b"304")
_STATUS = re.compile(rb"HTTP/1\.1 ([2-9][0-9][0-9]) ([\t -~\x80-\xff]*)")
_FIELD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)"
)
_LENGTH = re.compile(rb"[0-9]{1,18}")


class AnswerHeads:
    """What one worker knows of the lines of answers' heads."""

    __slots__ = ("_lines", "_status_lines")

    def __init__(self) -> None:
        self._lines: dict[bytes, HeadLine] = {}
        self._status_lines: dict[bytes, StatusLine] = {}

    def read(self, data: bytes) -> tuple[ResponseHead, int] | None:
        """The head that data begins with and its size in bytes; None where it is not whole or not plain."""
        end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD_BYTES)
        if end < 0:
            return None
        raw = data[:end]
        parts = raw.split(b"\r\n")
        status_line = self._status_lines.get(parts[0]) or self._learn_status(parts[0])
        if status_line is None or len(parts) > _MOST_LINES:
            return None
        del parts[0]
        known = self._lines
        try:
            lines = [known[part] for part in parts]
        except KeyError:
            learned = [known.get(part) or self._learn(part) for part in parts]
            lines = [line for line in learned if line is not None]
            if len(lines) < len(parts):
                return None
        framing: HeadLine | None = None
        for line in [line for line in lines if line.is_special]:
            if not line.passes:
                parts.remove(line.raw)
            if line.is_framing:
                if framing is not None:
                    return None
                framing = line
        length = framing.length_bytes if framing is not None else None
        is_chunked = framing is not None and length is None
        return ResponseHead(status_line, lines, parts, raw, length, is_chunked, False), end + 4

    def _learn_status(self, part: bytes) -> StatusLine | None:
        found = _STATUS.fullmatch(part)
        if found is None or found[1] in _NO_BODY or len(part) > _LONGEST_LINE_BYTES:
            return None
        if len(self._status_lines) >= _REMEMBERED:
            self._status_lines.clear()
        status_line = self._status_lines[part] = StatusLine(int(found[1]), found[2], b"1.1")
        return status_line

    def _learn(self, part: bytes) -> HeadLine | None:
        found = _FIELD.fullmatch(part)
        if found is None or len(part) > _LONGEST_LINE_BYTES:
            return None
        line = _head_line(part, found[1], found[2])
        if line is not None:
            if len(self._lines) >= _REMEMBERED:
                self._lines.clear()
            self._lines[part] = line
        return line


def _head_line(raw: bytes, name: bytes, value: bytes) -> HeadLine | None:
    """A field as it bears on the framing; None where that takes more than a line."""
    low = name.lower()
    line = HeadLine(name, value, raw, passes=not is_taken_off(name))
    if low == b"content-length":
        if not _LENGTH.fullmatch(value):
            return None
        line.length_bytes = int(value)
        line.is_framing = line.is_special = True
    elif low == b"transfer-encoding":
        if value.lower() != b"chunked":
            return None
        line.is_framing = line.is_special = True
    elif low in (b"connection", b"proxy-connection", b"upgrade") and (
        low != b"connection" or value.lower() != b"keep-alive"
    ):
        return None
    return line


def head_of(
    status_line: StatusLine, fields: Headers, length_bytes: int | None, *, chunked: bool, bodyless: bool
) -> ResponseHead:
    """A head from fields that were read in another way."""
    named = named_by_connection(fields)
    lines = [
        HeadLine(
            name, value, name + b": " + value, passes=not is_taken_off(name) and name.lower() not in named
        )
        for name, value in fields
    ]
    passed = [line.raw for line in lines if line.passes]
    raw = b"\r\n".join([status_line.reason, *[line.raw for line in lines]])
    return ResponseHead(status_line, lines, passed, raw, length_bytes, chunked, bodyless)


def tunnel_head(status_line: StatusLine, fields: Headers) -> ResponseHead:
    """The head of an answer that changes the protocol: `Connection` and `Upgrade` pass, for they are its meaning."""
    lines = [HeadLine(name, value, name + b": " + value, passes=not is_own(name)) for name, value in fields]
    passed = [line.raw for line in lines if line.passes]
    raw = b"\r\n".join([status_line.reason, *[line.raw for line in lines]])
    return ResponseHead(status_line, lines, passed, raw, None, False, True)


def named_by_connection(headers: Headers) -> frozenset[bytes]:
    """The fields that `Connection` names, in lower case, but for those that carry the framing."""
    named: frozenset[bytes] = frozenset()
    for name, value in headers:
        if name.lower() == b"connection":
            named |= frozenset(token.strip() for token in value.lower().split(b","))
    return named - {b"content-length", b"host", b"close", b"keep-alive", b""}
