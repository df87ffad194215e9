from __future__ import annotations

import random
import zlib

import pytest

from app.errors import FrameError
from app.exchange import FrameType
from app.journal.frame import HEADER_BYTES, MAX_PAYLOAD_BYTES, decode_frame, encode_frame, is_known, salt_crc
from tests.journal.segments import SALT, exchange_id, frame_bytes

START = salt_crc(SALT)
FRAME = (FrameType.RESPONSE_CHUNK, exchange_id(3), 9, b"data: [DONE]\n\n")


def test_a_frame_is_44_bytes_and_its_payload() -> None:
    assert HEADER_BYTES == 44
    header = encode_frame(START, 4, b"\x01" * 16, 0x0102, 5, b"abc", 1)
    assert header[:4] == b"\xf5LJ1"
    assert header[8:] == bytes.fromhex("03000000 04 01 0100") + b"\x01" * 16 + bytes.fromhex(
        "0201000000000000 05000000"
    )


@pytest.mark.parametrize("size", [0, 1, 15, 16, 63, 64, 255, 4_099, MAX_PAYLOAD_BYTES])
def test_the_crc_is_the_one_of_zlib_whatever_computes_it(size: int) -> None:
    payload = random.Random(size).randbytes(size)
    header = encode_frame(START, 4, exchange_id(1), 77, 8, payload)
    assert int.from_bytes(header[4:8], "little") == zlib.crc32(SALT + header[8:] + payload)


@pytest.mark.parametrize("payload", [b"", b"x", b"\xf5LJ1" * 30, bytes(MAX_PAYLOAD_BYTES)])
def test_a_frame_is_read_as_it_was_written(payload: bytes) -> None:
    data = encode_frame(START, 4, exchange_id(1), 77, 8, payload, 1) + payload
    frame = decode_frame(data, 0, START, 1_000)
    assert frame is not None
    assert (frame.offset, frame.kind, frame.flags, frame.monotonic_ns, frame.sequence) == (1_000, 4, 1, 77, 8)
    assert frame.payload == payload
    assert frame.size_bytes == len(data)


def test_a_frame_is_not_there_before_its_last_byte() -> None:
    data = frame_bytes(FRAME)
    for end in range(len(data)):
        assert decode_frame(data[:end], 0, START) is None
    for behind in (b"", b"\xf5", b"\xf5LJ1", bytes(100)):
        frame = decode_frame(b"??" + data + behind, 2, START)
        assert frame is not None
        assert frame.payload == FRAME[3]


def test_no_frame_passes_with_any_bit_changed() -> None:
    data = frame_bytes(FRAME)
    for place in range(len(data)):
        for bit in range(8):
            changed = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            try:
                assert decode_frame(changed, 0, START) is None
            except FrameError:
                continue


def test_no_frame_passes_with_another_salt() -> None:
    chance = random.Random(5)
    for _ in range(1_000):
        data = frame_bytes(FRAME, chance.randbytes(16))
        with pytest.raises(FrameError, match="CRC"):
            decode_frame(data, 0, START)


def test_a_length_above_the_limit_is_refused_before_anything_is_read() -> None:
    data = frame_bytes(FRAME)
    with pytest.raises(FrameError, match="payload of 1048577 bytes"):
        decode_frame(data[:8] + (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "little") + data[12:], 0, START)


def test_a_frame_of_another_version_is_refused() -> None:
    data = bytearray(frame_bytes((4, exchange_id(1), 0, b"")))
    data[14] = 2
    data[4:8] = zlib.crc32(bytes(data[8:44]), START).to_bytes(4, "little")
    with pytest.raises(FrameError, match="format version 2"):
        decode_frame(bytes(data), 0, START)


def test_types_of_this_version_are_known_and_no_others() -> None:
    assert [kind for kind in range(256) if is_known(kind)] == list(range(8))
