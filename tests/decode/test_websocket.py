"""Frames of one direction: whole messages come out, however they were cut, masked, interleaved or deflated."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decode.websocket import (
    MAX_MESSAGE_BYTES,
    Close,
    Extensions,
    FrameReader,
    SocketMessage,
    read_extensions,
    unmask,
)
from tests.decode.feeding import feed_every_way
from tests.decode.frames import Deflater, frame
from tests.decode.mutants import damage

PLAIN = Extensions()
DEFLATED = Extensions(is_deflated=True)
MASK = b"\x01\x02\xfe\xff"


def read(pieces: list[bytes], extensions: Extensions = PLAIN) -> tuple:
    reader = FrameReader(extensions)
    messages = [message for piece in pieces for message in reader.feed(piece)]
    return messages, reader.dropped, reader.pings, reader.broken, reader.close, reader.is_between_messages


def texts(data: bytes, extensions: Extensions = PLAIN) -> list[bytes]:
    return [message.data for message in read([data], extensions)[0]]


def test_messages_are_whole_however_their_bytes_come() -> None:
    data = (
        frame(b"Hel", final=False, mask=MASK)
        + frame(b"ping", 9, mask=MASK)
        + frame(b"lo", 0, final=False, mask=MASK)
        + frame(b"", 10)
        + frame(b"!", 0, mask=MASK)
        + frame(bytes(300), 2)
        + frame(b"")
        + frame(b"\x03\xe8", 8)
    )
    ends = [len(data) - 2 - 4 - 304 + 0, len(data) - 4 - 2, len(data) - 4]
    messages, dropped, pings, broken, close, is_between = feed_every_way(data, read, trailing=b"\x81\x01x")
    assert messages == [
        SocketMessage(True, b"Hello!", ends[0]),
        SocketMessage(False, bytes(300), ends[1]),
        SocketMessage(True, b"", ends[2]),
    ]
    assert (dropped, pings, broken, close) == (0, 2, None, Close(1000, "", len(data)))
    assert is_between


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("mask", [b"", MASK])
def test_payloads_of_every_length_are_read(size: int, mask: bytes) -> None:
    payload = bytes(i % 251 for i in range(size))
    data = frame(payload, 2, mask=mask)
    assert read([data])[0] == [SocketMessage(False, payload, len(data))]
    assert read([data[:9], data[9:]])[0] == read([data])[0]


def test_what_was_not_ended_is_told() -> None:
    assert read([frame(b"a"), frame(b"b")[:-1]])[5] is False
    assert read([frame(b"a", final=False)])[5] is False
    assert read([b"\x81"])[5] is False
    assert read([frame(b"a")])[5] is True


def test_the_code_and_reason_of_a_close_are_kept() -> None:
    assert read([frame(b"\x03\xf1too late", 8)])[4] == Close(1009, "too late", 12)
    assert read([frame(b"", 8)])[4] == Close(None, "", 2)
    assert read([frame(b"\xff", 8)])[4] == Close(None, "", 3)


@pytest.mark.parametrize("keeps_context", [True, False])
@pytest.mark.parametrize("window_bits", [9, 12, 15])
def test_deflated_messages_are_inflated(keeps_context: bool, window_bits: int) -> None:
    deflater = Deflater(keeps_context=keeps_context, window_bits=window_bits)
    said = [b'{"type":"a","text":"the same words again"}'] * 3 + [b"", bytes(range(256)) * 20]
    data = b"".join(frame(deflater.deflate(each), rsv=4, mask=MASK) for each in said)
    extensions = Extensions(is_deflated=True, keeps_context=keeps_context, window_bits=window_bits)
    assert texts(data, extensions) == said
    assert texts(data, Extensions(is_deflated=True)) == said or not keeps_context


def test_a_deflated_message_may_come_in_fragments_and_beside_plain_ones() -> None:
    deflater = Deflater()
    first, second = deflater.deflate(b"Hello " * 9), deflater.deflate(b"Hello " * 9)
    data = (
        frame(first[:3], rsv=4, final=False)
        + frame(b"", 9)
        + frame(first[3:], 0)
        + frame(b"plain")
        + frame(second, rsv=4)
    )
    messages = feed_every_way(data, lambda pieces: read(pieces, DEFLATED))[0]
    assert [message.data for message in messages] == [b"Hello " * 9, b"plain", b"Hello " * 9]


def test_a_message_that_ends_its_deflate_stream_is_read() -> None:
    deflater = zlib.compressobj(wbits=-15)
    ended = deflater.compress(b"Hello") + deflater.flush(zlib.Z_FINISH)
    assert texts(frame(ended + b"\x00", rsv=4) * 2, DEFLATED) == [b"Hello", b"Hello"]
    assert texts(frame(ended, rsv=4), DEFLATED) == [b"Hello"]


def test_damage_in_a_shared_context_breaks_what_follows_and_is_told() -> None:
    deflater = Deflater()
    data = (
        frame(deflater.deflate(b"one"), rsv=4)
        + frame(b"\xff\xff\xff", rsv=4)
        + frame(deflater.deflate(b"two"), rsv=4)
    )
    messages, dropped, _, broken, _, is_between = read([data], DEFLATED)
    assert ([each.data for each in messages], dropped, broken, is_between) == ([b"one"], 1, "deflate", False)
    alone = Extensions(is_deflated=True, keeps_context=False)
    fresh = Deflater(keeps_context=False)
    data = frame(b"\xff\xff\xff", rsv=4) + frame(fresh.deflate(b"two"), rsv=4)
    assert read([data], alone)[:2] == ([SocketMessage(True, b"two", len(data))], 1)


def test_a_message_too_long_is_passed_over_and_the_next_is_read() -> None:
    long = frame(bytes(MAX_MESSAGE_BYTES + 1), 2)
    reader = FrameReader(PLAIN)
    for start in range(0, len(long), 1 << 20):
        assert reader.feed(long[start : start + (1 << 20)]) == []
        assert repr(reader).endswith("buffered=0 dropped=0>") or start == len(long) - 11
    assert [each.data for each in reader.feed(frame(b"next"))] == [b"next"]
    assert (reader.dropped, reader.broken) == (1, None)
    half = bytes(MAX_MESSAGE_BYTES // 2 + 1)
    data = frame(half, 2, final=False) + frame(half, 0) + frame(b"next")
    assert (texts(data), read([data])[1]) == ([b"next"], 1)


def test_what_inflates_without_measure_is_not_inflated() -> None:
    bomb = Deflater().deflate(bytes(64 << 20))
    messages, dropped, _, broken, _, _ = read([frame(bomb, 2, rsv=4)], DEFLATED)
    assert (messages, dropped, broken) == ([], 1, "deflate")
    many_ends = b"\x03\x00" * 100_000
    assert read([frame(many_ends, 2, rsv=4)], DEFLATED)[1] == 1


@pytest.mark.parametrize(
    "data",
    [
        frame(b"x", 3) + frame(b"next"),
        frame(b"x", 11) + frame(b"next"),
        frame(b"x", 0) + frame(b"next"),
        frame(b"x", rsv=4) + frame(b"next"),
        frame(b"x", rsv=2) + frame(b"next"),
        frame(b"x", final=False) + frame(b"next"),
    ],
    ids=["opcode", "control opcode", "lost beginning", "not agreed", "odd bits", "never ended"],
)
def test_a_frame_that_makes_no_sense_costs_one_message(data: bytes) -> None:
    assert (texts(data), read([data])[1]) == ([b"next"], 1)


@pytest.mark.parametrize("data", [b"\x82\x7f" + b"\xff" * 8, b"\x89\x7e\x01\x00" + bytes(256), b"\x09\x00"])
def test_a_frame_that_cannot_be_breaks_the_direction(data: bytes) -> None:
    messages, _, _, broken, _, _ = read([data + frame(b"next")])
    assert (messages, broken) == ([], "frame")


@pytest.mark.parametrize(
    ("header", "client", "server"),
    [
        (None, Extensions(), Extensions()),
        ("", Extensions(), Extensions()),
        ("permessage-deflate", DEFLATED, DEFLATED),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=12",
            Extensions(True, True, 12),
            Extensions(True, False, 15),
        ),
        (
            'Permessage-Deflate;client_no_context_takeover; server_max_window_bits="8"',
            Extensions(True, False, 15),
            Extensions(True, True, 9),
        ),
        ("permessage-bzip2", Extensions(is_known=False), Extensions(is_known=False)),
    ],
)
def test_what_was_agreed_on_is_read(header: str | None, client: Extensions, server: Extensions) -> None:
    assert (read_extensions(header, is_client=True), read_extensions(header, is_client=False)) == (
        client,
        server,
    )


def test_bytes_of_an_unknown_extension_are_not_guessed_at() -> None:
    messages, _, _, broken, _, _ = read([frame(b"x")], Extensions(is_known=False))
    assert (messages, broken) == ([], "unknown extension")


@given(st.binary(max_size=70), st.binary(min_size=4, max_size=4))
def test_masking_twice_is_nothing(data: bytes, mask: bytes) -> None:
    assert unmask(unmask(data, mask), mask) == data
    assert unmask(data, mask) == bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


@given(st.binary(max_size=300), st.booleans(), st.text(max_size=80))
def test_any_bytes_give_the_same_in_any_pieces(data: bytes, is_deflated: bool, header: str) -> None:
    extensions = Extensions(is_deflated=is_deflated)
    assert read([data[i : i + 1] for i in range(len(data))], extensions) == read([data], extensions)
    read_extensions(header, is_client=True)


def test_mutants_give_the_same_in_any_pieces() -> None:
    chance = random.Random(11)
    deflater = Deflater()
    seed = b"".join(
        frame(deflater.deflate(b"Hello " * n), rsv=4, mask=MASK) + frame(b"", 9) for n in range(9)
    )
    for _ in range(3_000):
        data = damage(seed, seed, chance)
        point = chance.randrange(len(data) + 1)
        assert read([data[:point], data[point:]], DEFLATED) == read([data], DEFLATED)


def test_many_small_frames_and_pieces_take_time_in_proportion() -> None:
    read([b"\x81\x00" * 500_000])
    read([b"\x01\x00" + b"\x00\x00" * 500_000])
    large = frame(bytes(8 << 20), 2)
    assert len(read([large[i : i + 4096] for i in range(0, len(large), 4096)])[0]) == 1
