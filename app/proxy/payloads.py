"""Payloads of frames (`app.exchange`), put together from parts that were encoded before.

MessagePack arrays have no length in bytes, so the encoding of an array is its header and its elements one behind the
other. What a request head alone decides of BEGIN, and each line of an answer's head, is encoded once and kept.
"""

from __future__ import annotations

import struct

import msgspec

from app.exchange import AnswerHead, Begin
from app.proxy.secrets import Credentials, Redactor
from app.proxy.upstream import HeadLine, ResponseHead, StatusLine

_encode = msgspec.msgpack.Encoder().encode
_BEGIN_TO_MODE = struct.Struct(">3sBQ9sBhBQ")
_MODE, _HEADERS = Begin.__struct_fields__.index("mode"), Begin.__struct_fields__.index("headers")
_UINT64, _INT16, _FIXSTR_8, _BIN_8 = 0xCF, 0xD1, b"\xa8", 0xC4


def array_header(size: int) -> bytes:
    """What stands before the elements of an array of so many, at most 65,535."""
    return bytes((0x90 | size,)) if size < 16 else b"\xdc" + size.to_bytes(2)


_BEGIN_ARRAY = array_header(len(Begin.__struct_fields__))
_HEAD_ARRAY = array_header(len(AnswerHead.__struct_fields__))


class BeginTemplate:
    """BEGIN for all requests with one head: what differs is put in."""

    __slots__ = ("_after_length", "_to_length")

    def __init__(self, begin: Begin, length_place: int) -> None:
        """`length_place` is where Content-Length stands among the headers; -1 where there is none."""
        values = [getattr(begin, name) for name in begin.__struct_fields__]
        before = b"".join([_encode(value) for value in values[_MODE:_HEADERS]])
        after = b"".join([_encode(value) for value in values[_HEADERS + 1 :]])
        packed = [_encode(field) for field in begin.headers]
        self._to_length, self._after_length = before + array_header(len(packed)), after
        if length_place < 0:
            self._to_length += b"".join(packed) + after
            return
        name = begin.headers[length_place][0]
        self._to_length += b"".join(packed[:length_place]) + array_header(2) + _encode(name)
        self._after_length = b"".join(packed[length_place + 1 :]) + after

    def payload(self, accept_number: int, boot: str, slot: int, wall_ns: int, length_digits: bytes) -> bytes:
        """The whole payload; boot is eight characters, the digits are empty where there is no Content-Length."""
        start = _BEGIN_TO_MODE.pack(
            _BEGIN_ARRAY,
            _UINT64,
            accept_number,
            _FIXSTR_8 + boot.encode(),
            _INT16,
            slot,
            _UINT64,
            wall_ns,
        )
        if not length_digits:
            return start + self._to_length
        length = bytes((_BIN_8, len(length_digits))) + length_digits
        return b"".join((start, self._to_length, length, self._after_length))


def answer_head_payload(head: ResponseHead, redactor: Redactor, credentials: Credentials) -> bytes:
    """RESPONSE_HEAD, without the call's credentials should the upstream have sent them back."""
    status_line = head.status_line
    for credential in credentials:
        if credential in head.raw:
            reason = redactor.scrubbed(status_line.reason, credentials)
            version = status_line.version.decode("latin-1")
            return _encode(AnswerHead(head.status, reason, version, redactor.kept(head.headers, credentials)))
    lines = head.lines
    kept = [line.kept or _keep_line(line, redactor) for line in lines]
    kept.insert(0, (status_line.kept or _keep_status_line(status_line, redactor)) + array_header(len(lines)))
    return b"".join(kept)


def _keep_line(line: HeadLine, redactor: Redactor) -> bytes:
    line.kept = redactor.packed(line.name, line.value)
    return line.kept


def _keep_status_line(status_line: StatusLine, redactor: Redactor) -> bytes:
    reason = status_line.reason
    if redactor.is_suspect(reason, ()):
        reason = redactor.scrubbed(reason, ())
    parts = (status_line.status, reason, status_line.version.decode("latin-1"))
    status_line.kept = _HEAD_ARRAY + b"".join([_encode(part) for part in parts])
    return status_line.kept
