"""Answer heads: what is read line by line is read as llhttp reads it, and only the plainest is read so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.proxy.answer_heads import AnswerHeads
from app.proxy.answer_parser import AnswerParser

PLAIN = b"HTTP/1.1 200 OK\r\nDate: Sun\r\nX-A:  b c \xe9\r\nX-A: 2\r\nX-Empty:\r\nContent-Length: 3\r\n\r\n"
NAMES = (
    b"Content-Length",
    b"content-length",
    b"Transfer-Encoding",
    b"Connection",
    b"Upgrade",
    b"Trailer",
    b"X-Verbatim-Exchange-Id",
    b"X-Odd",
    b"Set-Cookie",
    b"bad name",
    b"",
    b"X\x00",
)
VALUES = (
    b"0",
    b"3",
    b"+3",
    b"3, 3",
    b"99999999999999999999",
    b"chunked",
    b"Chunked",
    b"gzip, chunked",
    b"keep-alive",
    b"Keep-Alive",
    b"close",
    b"close, X-Odd",
    b"websocket",
    b"",
    b" padded",
    b"padded ",
    b"\ttab\t",
    b"\xff\x80",
    b"a\rb",
    b"a\nb",
    b"a\x00b",
    b"folded\r\n more",
)
FIRST_LINES = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 ",
    b"HTTP/1.1 200",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1 404 Not Found",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 101 Switching",
    b"HTTP/1.1 999 Odd\xe9",
    b"HTTP/1.0 200 OK",
    b"HTTP/2 200 OK",
    b"http/1.1 200 OK",
    b"",
)
fields = st.tuples(
    st.one_of(st.sampled_from(NAMES), st.from_regex(rb"[A-Za-z-]{1,12}", fullmatch=True)),
    st.sampled_from((b":", b": ", b":\t ", b" : ")),
    st.one_of(st.sampled_from(VALUES), st.binary(max_size=12)),
)


def as_llhttp_reads(raw: bytes) -> AnswerParser:
    """A head that does not come whole in one read goes to llhttp."""
    parser = AnswerParser(AnswerHeads())
    parser.begin(is_for_head_request=False)
    for start in range(len(raw)):
        parser.feed(raw[start : start + 1])
        if parser.error is not None:
            break
    return parser


@settings(max_examples=2000, deadline=None)
@given(st.sampled_from(FIRST_LINES), st.lists(fields, max_size=5))
def test_what_is_read_by_lines_llhttp_reads_alike(
    first: bytes, head_fields: list[tuple[bytes, bytes, bytes]]
) -> None:
    raw = b"\r\n".join([first, *[b"".join(each) for each in head_fields], b"\r\n"])
    raw = raw[: raw.index(b"\r\n\r\n") + 4]
    heads = AnswerHeads()
    found = heads.read(raw + b"body")
    assert (found is None) == (heads.read(raw) is None), "what is remembered changes nothing"
    if found is None:
        return
    head, size = found
    parser = as_llhttp_reads(raw)
    assert parser.error is None
    assert parser.head is not None
    assert size == len(raw)
    read = parser.head
    assert (head.status, head.status_line.reason) == (read.status, read.status_line.reason)
    assert head.status_line.version == read.status_line.version
    assert (head.length_bytes, head.chunked, head.bodyless) == (
        read.length_bytes,
        read.chunked,
        read.bodyless,
    )
    assert head.headers == read.headers
    assert [line.passes for line in head.lines] == [line.passes for line in read.lines]
    whole = AnswerParser(heads)
    whole.begin(is_for_head_request=False)
    whole.feed(raw)
    assert whole.keeps_alive == parser.keeps_alive


def test_a_plain_head_is_read_by_lines_and_its_lines_pass_as_they_came() -> None:
    heads = AnswerHeads()
    found = heads.read(PLAIN + b"abc")
    assert found is not None
    head, size = found
    assert size == len(PLAIN)
    assert head.passed == PLAIN.split(b"\r\n")[1:6]
    again = heads.read(PLAIN)
    assert again is not None
    assert again[0].lines == head.lines, "the very same objects"


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN[:-2],
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"200 OK", b"100 Continue"),
        PLAIN.replace(b"200 OK", b"204 No Content"),
        PLAIN.replace(b"Date: Sun", b"Connection: close"),
        PLAIN.replace(b"Date: Sun", b"Connection: keep-alive, X-A"),
        PLAIN.replace(b"Date: Sun", b"Content-Length: 3"),
        PLAIN.replace(b"Date: Sun", b"Transfer-Encoding: chunked"),
        PLAIN.replace(b"Date: Sun", b"Date: Sun\r\n folded"),
        PLAIN.replace(b"Date: Sun", b"Date : Sun"),
        PLAIN.replace(b"Date: Sun", b"Date: S\x00n"),
        PLAIN.replace(b"Length: 3", b"Length: 0x3"),
        PLAIN.replace(b"\r\nDate", b"\nDate"),
    ],
)
def test_what_is_not_plain_is_left_to_llhttp(raw: bytes) -> None:
    assert AnswerHeads().read(raw) is None


def test_memory_stays_bounded_however_many_different_lines_come() -> None:
    heads = AnswerHeads()
    for number in range(10_000):
        found = heads.read(
            b"HTTP/1.1 200 OK %d\r\nX-Request-Id: %d\r\nContent-Length: 0\r\n\r\n" % (number, number)
        )
        assert found is not None
    assert len(heads._lines) <= 4096
    assert len(heads._status_lines) <= 4096
