"""What must hold of parsers for any bytes: `scripts/fuzz` looks for bytes of which it does not."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import httptools

from app.decode.sse import SseEvent, SseParser
from app.journal.frame import HEADER_BYTES, MAGIC, salt_crc
from app.proxy.answer_heads import AnswerHeads
from app.proxy.answer_parser import AnswerParser
from app.proxy.headers import RequestHead, request_head_bytes
from app.proxy.upstream import Headers, Upstream
from tests.journal.segments import SALT, header_bytes, read_bytes

UPSTREAM = Upstream("v1", "https", "api.openai.com", 443)
LONGEST_BYTES = 4_096
_LENGTH = slice(8, 12)


def frames(data: bytes, folder: Path) -> None:
    """A segment of any bytes: read to its end, all of it accounted for, alike in windows of any size."""
    mode, data = data[:1], data[1:]
    content = header_bytes() + (_with_true_sums(data) if mode > b"\x80" else data)
    reading = read_bytes(folder, content)
    assert reading is not None
    taken = sum(each.size_bytes for each in reading.places)
    assert taken + reading.damaged_bytes + reading.torn_bytes <= len(content)
    by_window = read_bytes(folder, content, 64)
    assert by_window is not None and by_window.frames == reading.frames
    assert by_window.damaged_bytes == reading.damaged_bytes and by_window.torn_bytes == reading.torn_bytes


def _with_true_sums(data: bytes) -> bytes:
    """Where a frame might begin its CRC is made right, so that what is behind it is reached."""
    found, place = bytearray(data), data.find(MAGIC)
    while place >= 0 and place + HEADER_BYTES <= len(found):
        length = int.from_bytes(found[place:][_LENGTH], "little")
        end = place + HEADER_BYTES + length
        if end <= len(found):
            found[place + 4 : place + 8] = zlib.crc32(found[place + 8 : end], salt_crc(SALT)).to_bytes(
                4, "little"
            )
        place = bytes(found).find(MAGIC, max(place + 1, min(end, len(found))))
    return bytes(found)


def sse(data: bytes, folder: Path) -> None:
    """Any bytes give events, and the same ones however they are cut."""
    step, data = data[:1], data[1:]
    size = 1 + (step[0] & 15 if step else 0)
    whole, in_pieces = _events([data]), _events([data[at : at + size] for at in range(0, len(data), size)])
    assert whole == in_pieces
    assert all(each is None or b"\r" not in each.data for each in whole)


def _events(pieces: list[bytes]) -> list[SseEvent | None]:
    parser = SseParser()
    found: list[SseEvent | None] = []
    for piece in pieces:
        found += parser.feed(piece)
    return [*found, parser.close()]


class _Reader:
    """A request as llhttp reads it."""

    def __init__(self) -> None:
        self.target, self.body, self.is_whole = b"", b"", False
        self.fields: Headers = []
        self.parser = httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_message_complete(self) -> None:
        self.is_whole = True

    def head(self) -> RequestHead:
        parser = self.parser
        return RequestHead(parser.get_method(), self.target, parser.get_http_version().encode(), self.fields)


def heads(data: bytes, folder: Path) -> None:
    """A request that is not refused goes on as exactly one that any parser frames alike; an answer reads alike however
    it is cut."""
    kind, data = data[:1], data[1:]
    if kind > b"\x80":
        cut = kind[0] & 127
        assert _answer([data]) == _answer([data[:cut], data[cut:]])
        return
    reader = _read(data)
    if reader is None or (head := reader.head()).refusal is not None or b"\r\n\r\n" not in data:
        return
    sent = request_head_bytes(head, UPSTREAM)
    assert sent.endswith(b"\r\n\r\n") and sent.count(b"\r\n\r\n") == 1
    lines = sent[:-4].split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    assert names.count(b"host") == 1 and b"x-verbatim" not in b"".join(names)
    assert names.count(b"transfer-encoding") + names.count(b"content-length") == (
        1 if head.chunked or head.length_bytes is not None else 0
    )
    if head.upgrade is None:
        again = _read(sent)
        assert again is not None and again.target == head.target
        assert again.head().length_bytes == head.length_bytes and again.head().chunked == head.chunked


def _read(data: bytes) -> _Reader | None:
    reader = _Reader()
    end = data.find(b"\r\n\r\n")
    try:
        reader.parser.feed_data(data[: end + 4] if end >= 0 else data)
        reader.parser.get_method()
    except httptools.HttpParserUpgrade:
        return reader
    except httptools.HttpParserError:
        return None
    return reader if reader.target else None


def _answer(pieces: list[bytes]) -> tuple[object, ...]:
    parser = AnswerParser(AnswerHeads())
    parser.begin(is_for_head_request=False)
    body, statuses = b"", []
    for piece in filter(None, pieces):
        if parser.error is not None or parser.is_complete:
            break
        parser.feed(piece)
        body += parser.data
        statuses += [each[0] for each in parser.informational]
    if parser.error is not None:
        return ("no answer",)
    head = parser.head
    told = None if head is None else (head.status, head.headers)
    return (told, body, statuses, parser.is_complete, parser.trailers)


TARGETS: dict[str, Callable[[bytes, Path], None]] = {"frames": frames, "sse": sse, "heads": heads}
SEEDS: dict[str, list[bytes]] = {
    "frames": [b"\xff" + header_bytes(), b"\0" + header_bytes(), b"\xff" + MAGIC + bytes(40)],
    "sse": [b"\x03event: a\ndata: {}\r\ndata: x\rid: 1\n\n", b"\0\xef\xbb\xbfdata:a\n\n:c\nretry: 1\n\n"],
    "heads": [
        b"\0POST /v1/x?a=b HTTP/1.1\r\nHost: p\r\nContent-Length: 3\r\nConnection: close, X\r\nX: y\r\n\r\n",
        b"\0GET /v1/x HTTP/1.1\r\nhost: [::1]:80\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"\0POST /v1/x HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        b"\xb0HTTP/1.1 103 A\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n",
        b"\x99HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    ],
}
