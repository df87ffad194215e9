"""Reads one upstream answer from the pieces that reads of a socket bring. No socket, no event loop.

A plain head that one read brings whole is read line by line (`answer_heads.py`); llhttp parses all other heads, and
chunks, with no leniency. Lengths are counted here, so that the border between an answer and whatever follows it is
exact, and so that a body passes without a copy. After each `feed` the attributes say what it brought; bytes behind the
answer are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from app.proxy.answer_heads import AnswerHeads, head_of, tunnel_head
from app.proxy.upstream import SWITCHING_PROTOCOLS, Headers, ResponseHead, StatusLine

MAX_HEAD_BYTES = 256 << 10
"""Of all heads of one answer together, 1xx included; also of what stands between two pieces of a chunked body."""
MAX_FIELDS = 1000

_CAPITAL_H = ord("H")  # llhttp would take RTSP and ICE, too
_HEAD_END = b"\r\n\r\n"
_VERSIONS = {"1.0": b"1.0", "1.1": b"1.1"}
_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
"""What llhttp is told before the chunks of an answer whose head it has not seen."""


class AnswerParser:
    """One answer after another on one connection, each announced by `begin`.

    llhttp holds its callbacks, which are methods of this object: `release` breaks the circle.
    """

    __slots__ = (
        "_fields",
        "_head_bytes",
        "_head_tail",
        "_heads",
        "_is_chunked",
        "_is_for_head_request",
        "_is_head_parsed",
        "_llhttp",
        "_may_upgrade",
        "_overhead_bytes",
        "_pieces",
        "_reason",
        "_remaining_bytes",
        "_status",
        "data",
        "error",
        "has_begun",
        "has_surplus",
        "head",
        "informational",
        "is_complete",
        "is_head_new",
        "keeps_alive",
        "on_body",
        "on_status",
        "trailers",
    )

    def __init__(self, heads: AnswerHeads) -> None:
        self._heads = heads
        self._llhttp: HttpResponseParser | None = None
        self._reason: list[bytes] = []
        self._pieces: list[bytes] = []
        self.on_status: Callable[[bytes], None] = self._reason.append
        self.on_body: Callable[[bytes], None] = self._pieces.append
        self.begin(is_for_head_request=False)

    def begin(self, *, is_for_head_request: bool, may_upgrade: bool = False) -> None:
        """Expects the answer to a new request; with `may_upgrade` it may be 101: its body is all that comes."""
        self.data = b""
        """Body bytes of the last feed."""
        self.error: str | None = None
        """Why what was fed is no answer: one line, free of what was fed."""
        self.has_begun = False
        """A byte of the answer has come."""
        self.has_surplus = False
        """Something followed the answer: the connection is not to be used again."""
        self.head: ResponseHead | None = None
        self.is_head_new = False
        """The last feed brought the final head."""
        self.informational: list[tuple[int, bytes, Headers]] = []
        """Heads of 1xx answers of the last feed."""
        self.is_complete = False
        self.keeps_alive = False
        """By version and `Connection` the upstream keeps the connection open."""
        self.trailers: Headers = []
        self._is_for_head_request = is_for_head_request
        self._may_upgrade = may_upgrade
        self._is_chunked = False
        self._remaining_bytes: int | None = None
        self._llhttp = None

    def release(self) -> None:
        """Lets llhttp go; nothing may be fed before the next `begin`."""
        self._llhttp = None

    def _begin_llhttp(self) -> None:
        self._llhttp = HttpResponseParser(self)
        self._fields: Headers = []
        self._reason.clear()
        self._pieces.clear()
        self._head_tail = b""
        self._is_head_parsed = False
        self._status = 0

    def feed(self, data: bytes) -> None:
        """Takes what one read brought; nothing may be fed after an error or the end."""
        is_first = not self.has_begun
        self.has_begun = True
        self.data = b""
        self.is_head_new = False
        if self.informational:
            self.informational = []
        if self.head is None:
            if is_first and not self._is_for_head_request and (found := self._heads.read(data)):
                data = data[found[1] :]
                self._take_plain_head(found[0])
            else:
                data = self._feed_heads(data, is_first=is_first)
                if self.head is None or self.error is not None:
                    return
        if self._is_chunked:
            self._feed_chunks(data)
        elif self._remaining_bytes is None:
            self.data = data
        else:
            self._feed_counted(data, self._remaining_bytes)

    def feed_end(self) -> bool:
        """The connection ended; True if that is how this answer ends."""
        if self.head is not None and not self._is_chunked and self._remaining_bytes is None:
            self.data = b""
            self.is_head_new = False
            self.informational = []
            self.is_complete = True
        return self.is_complete

    def position(self) -> str:
        """How far the answer got, for people."""
        if not self.has_begun:
            return "before any byte of an answer"
        if self.head is None:
            return "within the head of the answer"
        if self._remaining_bytes:
            return f"{self._remaining_bytes} bytes before the declared end of the answer"
        return "within the body of the answer"

    def _take_plain_head(self, head: ResponseHead) -> None:
        self.head = head
        self.is_head_new = True
        self._remaining_bytes = head.length_bytes
        self._is_chunked = head.chunked
        # A body that is neither counted nor chunked ends with the connection.
        self.keeps_alive = head.chunked or head.length_bytes is not None
        if head.chunked:
            self._overhead_bytes = 0
            self._begin_llhttp()
            self._feed_llhttp(_CHUNKED_HEAD)
            self._fields = self.trailers

    def _feed_heads(self, data: bytes, *, is_first: bool) -> bytes:
        """Parses 1xx heads and the final one; returns what follows the final one."""
        if is_first:
            self._head_bytes = self._overhead_bytes = 0
            self._begin_llhttp()
        while data:
            if not self._head_tail and data[0] != _CAPITAL_H:
                self.error = "the answer does not begin as HTTP/1 does"
                return b""
            seam = len(self._head_tail)
            found = (self._head_tail + data if seam else data).find(_HEAD_END)
            end = found + 4 - seam
            part = data if found < 0 else data[:end]
            if not self._parse_head(part):
                return b""
            if found < 0:
                self._head_tail = (self._head_tail + data)[-3:]
                return b""
            data = data[end:]
            if self._take_head() or self.error is not None:
                return data
        return b""

    def _parse_head(self, part: bytes) -> bool:
        self._head_bytes += len(part)
        try:
            self._feed_llhttp(part)
        except (HttpParserError, HttpParserUpgrade) as error:
            # llhttp stops at every 101; _take_head says what is wrong with it.
            if self._status != SWITCHING_PROTOCOLS:
                self.error = str(error)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.error = f"the answer's head is larger than {MAX_HEAD_BYTES >> 10} KiB"
        return self.error is None

    def _feed_llhttp(self, data: bytes) -> None:
        assert self._llhttp is not None
        self._llhttp.feed_data(data)

    def _take_head(self) -> bool:
        """A head is there as a whole: keeps it; True if it is the final one."""
        status, fields, reason = self._status, self._fields, b"".join(self._reason)
        assert self._llhttp is not None
        version = _VERSIONS.get(self._llhttp.get_http_version())
        if version is None:
            self.error = "the answer is neither HTTP/1.0 nor HTTP/1.1"
        elif not self._is_head_parsed or status < 100:
            self.error = "the answer has no proper status line"
        elif len(fields) > MAX_FIELDS:
            self.error = f"the answer's head has more than {MAX_FIELDS} fields"
        elif status == SWITCHING_PROTOCOLS and self._may_upgrade and version == b"1.1":
            self._tunnel(StatusLine(status, reason, version), fields)
        elif status == SWITCHING_PROTOCOLS:
            self.error = "the upstream switched protocols, which was not asked for"
        elif status < 200:
            self.informational.append((status, reason, fields))
            self._begin_llhttp()
        else:
            self._frame(status, reason, version, fields)
        return self.head is not None

    def _tunnel(self, status_line: StatusLine, fields: Headers) -> None:
        """All that comes from now on belongs to another protocol, until the connection ends."""
        self.head = tunnel_head(status_line, fields)
        self.is_head_new = True
        self._remaining_bytes = None
        self.keeps_alive = False

    def _frame(self, status: int, reason: bytes, version: bytes, fields: Headers) -> None:
        """Decides how the body ends (RFC 9112, section 6.3), more strictly than llhttp does."""
        length: int | None = None
        is_chunked = False
        for name, value in fields:
            size = len(name)
            # llhttp has refused a second Content-Length, one that is no number, and one beside Transfer-Encoding.
            if size == 14 and name.lower() == b"content-length":
                length = int(value)
            elif size == 17 and name.lower() == b"transfer-encoding":
                if is_chunked or value.strip(b" \t").lower() != b"chunked" or version == b"1.0":
                    self.error = "the answer has a transfer encoding other than chunked"
                    return
                is_chunked = True
        is_bodyless = self._is_for_head_request or status in (204, 304)
        if is_bodyless:
            self._remaining_bytes = 0
        else:
            self._is_chunked = is_chunked
            self._remaining_bytes = length
        self._fields = self.trailers  # what llhttp tells from now on
        status_line = StatusLine(status, reason, version)
        self.head = head_of(status_line, fields, length, chunked=is_chunked, bodyless=is_bodyless)
        self.is_head_new = True

    def _feed_counted(self, data: bytes, remaining_bytes: int) -> None:
        size = len(data)
        if size < remaining_bytes:
            self._remaining_bytes = remaining_bytes - size
            self.data = data
            return
        self._remaining_bytes = 0
        self.is_complete = True
        self.has_surplus = size > remaining_bytes
        self.data = data[:remaining_bytes] if self.has_surplus else data

    def _feed_chunks(self, data: bytes) -> None:
        try:
            self._feed_llhttp(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.is_complete:
                self.has_surplus = True
            else:
                self.error = str(error)
        pieces = self._pieces
        if pieces:
            self.data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._overhead_bytes = 0
        else:
            self._overhead_bytes += len(data)
        if self.is_complete:
            # llhttp swallows empty lines behind the end.
            self.has_surplus = self.has_surplus or len(data) - len(data.rstrip(b"\r\n")) > len(_HEAD_END)
        elif self._overhead_bytes > MAX_HEAD_BYTES or len(self.trailers) > MAX_FIELDS:
            self.error = "the trailers or chunk extensions of the answer are too large"

    # What llhttp calls, besides on_status and on_body.

    def on_message_begin(self) -> None:
        """Stops llhttp where another answer follows, so that nothing of it is mixed in."""
        if self.is_complete:
            raise HttpParserError("bytes behind the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or a trailer."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Asks what llhttp forgets at the end of the message."""
        assert self._llhttp is not None
        self._is_head_parsed = True
        self._status = self._llhttp.get_status_code()
        self.keeps_alive = self._llhttp.should_keep_alive()

    def on_message_complete(self) -> None:
        """The last chunk and the trailers were there."""
        if self.head is not None:
            self.is_complete = True
