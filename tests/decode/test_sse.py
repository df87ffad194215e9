"""The event parser keeps to the WHATWG rules, however its bytes come."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decode import sse
from app.decode.sse import SseEvent, SseParser
from tests.decode.feeding import feed_every_way


def parse(pieces: list[bytes]) -> tuple[list[SseEvent], SseEvent | None]:
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events, parser.close()


def data_of(body: bytes) -> list[bytes]:
    events, tail = feed_every_way(body, parse)
    assert tail is None
    return [event.data for event in events]


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\r\n\ndata: b\n\r", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\ndata\ndata: b\n\n", [b"a\n\nb"]),
        (b"data\n\n", [b""]),
        (b": keep-alive\n\n: OPENROUTER PROCESSING\n\ndata: a\n\n", [b"a"]),
        (b":\n\n\n\n\ndata: a\n\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"b"]),
        (b"retry: 10\nfoo: bar\nfoo\n\ndata: a\n\n", [b"a"]),
        (b"Data: a\n data: b\n\ndata: c\n\n", [b"c"]),
        ("data: 中文\u2028\u0085é\n\n".encode(), ["中文\u2028\u0085é".encode()]),
        (b"data: \xff\xfe\x00\n\n", [b"\xff\xfe\x00"]),
        (b"", []),
        (b"\n\n\r\r\n", []),
    ],
)
def test_events_are_read_by_the_rules_however_the_bytes_are_split(body: bytes, data: list[bytes]) -> None:
    assert data_of(body) == data


def test_names_and_ids_go_with_their_event() -> None:
    body = b"event: a\nid: 1\ndata: x\n\nid: 2\x00\ndata: y\n\nevent: b\n\nid\ndata: z\n\n"
    events, _ = feed_every_way(body, parse)
    assert [(event.name, event.last_id) for event in events] == [
        ("a", "1"),
        ("message", "1"),
        ("message", ""),
    ]


@pytest.mark.parametrize(
    ("body", "tail"),
    [
        (b"data: a\n\ndata: b", b"b"),
        (b"data: a\n\ndata: b\n", b"b"),
        (b"data: a\n\nevent: x\ndata: b\r", b"b"),
    ],
)
def test_an_event_without_its_blank_line_is_no_event_but_is_told(body: bytes, tail: bytes) -> None:
    events, left = feed_every_way(body, parse)
    assert [event.data for event in events] == [b"a"]
    assert left is not None
    assert left.data == tail


def test_what_follows_a_whole_event_changes_nothing_of_it() -> None:
    def events_of(pieces: list[bytes]) -> list[SseEvent]:
        return parse(pieces)[0]

    assert len(feed_every_way(b"data: a\r\n\r\n", events_of, trailing=b": bye\nid: 3")) == 1


def test_an_event_beyond_the_bound_is_dropped_and_counted_and_the_next_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 20)

    def dropped(pieces: list[bytes]) -> tuple[list[SseEvent], int]:
        parser = SseParser()
        return [event for piece in pieces for event in parser.feed(piece)], parser.dropped

    long_line = b"data: " + b"x" * 40 + b"\n\ndata: ok\n\n"
    many_lines = b"data: 12345\n" * 4 + b"\ndata: ok\n\n"
    for body in (long_line, many_lines):
        events, count = feed_every_way(body, dropped)
        assert ([event.data for event in events], count) == ([b"ok"], 1)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_split_anywhere_give_what_they_give_whole(data: bytes, points: list[int]) -> None:
    cuts = [0, *sorted(points), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(cuts)]
    assert parse(pieces) == parse([data[: max(cuts)]])


@given(st.text(alphabet="da t:\r\n\x00\ufeffe", max_size=60))
def test_texts_made_of_syntax_are_split_alike(text: str) -> None:
    feed_every_way(text.encode(), parse)
