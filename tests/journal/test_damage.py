"""Whatever happened to a segment's bytes: no record is invented, no more is lost than was hit, all of it is counted."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from app.exchange import FrameType
from app.journal.frame import HEADER_BYTES, MAX_PAYLOAD_BYTES, NO_EXCHANGE
from tests.journal.segments import (
    HEADER,
    NAME,
    SALT,
    Told,
    exchange_id,
    frame_bytes,
    header_bytes,
    read_bytes,
    read_file,
    seal_bytes,
    segment_bytes,
    small_exchanges,
)
from tests.rows import Row

FRAMES = small_exchanges(4)
CONTENT = segment_bytes(FRAMES)
HEAD_BYTES = len(header_bytes())


def borders(frames: list[Told]) -> list[int]:
    """Where each frame ends."""
    ends = [HEAD_BYTES]
    for frame in frames:
        ends.append(ends[-1] + len(frame_bytes(frame)))
    return ends


@pytest.mark.parametrize("window_bytes", [1 << 20, 64, 1])
def test_a_segment_cut_anywhere_gives_exactly_the_frames_before_the_cut(
    folder: Path, window_bytes: int
) -> None:
    ends = borders(FRAMES)
    for cut in range(len(CONTENT)):
        reading = read_bytes(folder, CONTENT[:cut], window_bytes)
        if cut < HEAD_BYTES:
            assert reading is None
            continue
        assert reading is not None
        whole = sum(end <= cut for end in ends) - 1
        assert reading.frames == FRAMES[:whole], cut
        assert reading.damaged_bytes + reading.torn_bytes == cut - ends[whole], cut
        assert not reading.sealed


def test_a_flipped_bit_costs_at_most_one_frame_and_invents_none(folder: Path) -> None:
    chance = random.Random(1)
    for place in range(len(CONTENT)):
        changed = CONTENT[:place] + bytes([CONTENT[place] ^ 1 << chance.randrange(8)]) + CONTENT[place + 1 :]
        reading = read_bytes(folder, changed)
        if place < HEAD_BYTES:
            assert reading is None, place
            continue
        assert reading is not None
        missing = [frame for frame in FRAMES if frame not in reading.frames]
        assert reading.frames == [frame for frame in FRAMES if frame not in missing], place
        assert len(missing) <= 1, place
        assert reading.damaged_bytes + reading.torn_bytes >= HEADER_BYTES, place
        assert reading.sealed or place >= len(CONTENT) - HEADER_BYTES


@pytest.mark.parametrize("filler", [bytes(4096), b"\xff" * 4096, b"\xf5" * 4096, b"\xf5LJ1" * 1024])
def test_a_block_that_was_overwritten_costs_the_frames_in_it(folder: Path, filler: bytes) -> None:
    frames: list[Told] = [(4, exchange_id(1), n, bytes([n % 256]) * 700) for n in range(30)]
    content = segment_bytes(frames)
    for start in range(HEAD_BYTES, len(content) - len(filler), 997):
        reading = read_bytes(folder, content[:start] + filler + content[start + len(filler) :])
        assert reading is not None
        assert [frame for frame in frames if frame in reading.frames] == reading.frames
        assert len(reading.frames) >= len(frames) - len(filler) // 744 - 2
        assert reading.damaged_bytes >= len(filler)
        assert reading.sealed


@pytest.mark.parametrize("seed", range(5))
def test_a_block_that_was_put_between_costs_at_most_the_frame_it_split(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        place = chance.randrange(HEAD_BYTES, len(CONTENT))
        reading = read_bytes(folder, CONTENT[:place] + chance.randbytes(4096) + CONTENT[place:])
        assert reading is not None
        assert len(reading.frames) >= len(FRAMES) - 1
        assert [frame for frame in FRAMES if frame in reading.frames] == reading.frames


def test_a_tail_of_zeros_is_counted_and_costs_nothing(folder: Path) -> None:
    reading = read_bytes(folder, segment_bytes(FRAMES, sealed=False) + bytes(10_000))
    assert reading is not None
    assert reading.frames == FRAMES
    assert reading.damaged_bytes + reading.torn_bytes == 10_000


def test_a_hole_of_ten_gigabytes_is_passed_over_at_once(folder: Path) -> None:
    path = folder / NAME
    content = segment_bytes(FRAMES, sealed=False)
    with path.open("wb") as file:
        file.write(content)
        file.seek(10 << 30)
        late: Told = (FrameType.END, exchange_id(99), 0, b"late")
        file.write(frame_bytes(late) + seal_bytes())
    reading = read_file(folder)
    assert reading.frames == [*FRAMES, late]
    assert reading.sealed
    assert reading.damaged_bytes == (10 << 30) - len(content)


@pytest.mark.parametrize("content", [b"", b"\xf5", bytes(200), CONTENT[HEAD_BYTES:], b"GIF89a" * 50])
def test_what_has_no_header_is_no_segment(folder: Path, content: bytes) -> None:
    assert read_bytes(folder, content) is None


def test_a_header_that_is_not_what_it_says_is_refused(folder: Path) -> None:
    junk = (FrameType.HEADER, NO_EXCHANGE, 0, b"\xc1 no MessagePack")
    assert read_bytes(folder, frame_bytes(junk, b"")) is None
    assert read_bytes(folder, frame_bytes((FrameType.BEGIN, NO_EXCHANGE, 0, b"")) + CONTENT) is None


def test_a_segment_behind_another_in_one_file_gives_the_first_and_counts_the_second(folder: Path) -> None:
    other = header_bytes() + frame_bytes((4, exchange_id(50), 0, b"other"), b"another salt")
    for joint, seal in ((CONTENT, True), (segment_bytes(FRAMES, sealed=False), False)):
        reading = read_bytes(folder, joint + other)
        assert reading is not None
        assert reading.frames == FRAMES
        assert reading.sealed is seal
        assert reading.damaged_bytes + reading.torn_bytes == len(other)


def test_a_segment_that_holds_everything_twice_tells_it_twice_with_the_same_sequences(folder: Path) -> None:
    reading = read_bytes(folder, segment_bytes([*FRAMES, *FRAMES]))
    assert reading is not None
    assert reading.frames == [*FRAMES, *FRAMES]


@pytest.mark.row("S4", ci=1_000, soak=10_000)
def test_of_frames_forged_inside_a_payload_none_is_taken(folder: Path, row: Row) -> None:
    chance = random.Random(17)
    for _ in row.turns():
        forged: Told = (FrameType.RESPONSE_CHUNK, exchange_id(666), 0, b"forged")
        salt = chance.choice([b"", chance.randbytes(16), HEADER.segment_id])
        payload = chance.randbytes(chance.randrange(40)) + frame_bytes(forged, salt) * 3 + seal_bytes()[:20]
        content = bytearray(segment_bytes([FRAMES[0], (3, exchange_id(1), 0, payload), FRAMES[1]]))
        outer = HEAD_BYTES + len(frame_bytes(FRAMES[0]))
        content[outer + chance.randrange(HEADER_BYTES)] ^= 1 << chance.randrange(8)
        reading = read_bytes(folder, bytes(content))
        assert reading is not None
        assert reading.frames == [FRAMES[0], FRAMES[1]]


def test_the_whole_bytes_of_another_segment_inside_a_payload_are_not_taken(folder: Path) -> None:
    other = header_bytes() + b"".join(frame_bytes(frame, b"its own salt") for frame in small_exchanges(9))
    content = bytearray(segment_bytes([(4, exchange_id(1), 0, other), FRAMES[0]]))
    content[HEAD_BYTES + 5] ^= 1
    reading = read_bytes(folder, bytes(content))
    assert reading is not None
    assert reading.frames == [FRAMES[0]]


def test_a_length_that_points_past_the_end_hides_nothing_once_nobody_writes(folder: Path) -> None:
    for length in (len(CONTENT) + 5, MAX_PAYLOAD_BYTES):
        content = bytearray(CONTENT)
        content[HEAD_BYTES + 8 : HEAD_BYTES + 12] = length.to_bytes(4, "little")
        reading = read_bytes(folder, bytes(content), 200)
        assert reading is not None
        assert reading.frames == FRAMES[1:]
        assert reading.sealed


def test_arbitrary_bytes_never_raise_and_never_give_a_frame(folder: Path) -> None:
    chance = random.Random(3)
    for _ in range(200):
        parts = [b"\xf5LJ1", b"\xf5L", chance.randbytes(60), bytes(90), frame_bytes(FRAMES[0], b"")]
        junk = b"".join(chance.choices(parts, k=chance.randrange(1, 60)))
        reading = read_bytes(folder, header_bytes() + junk, chance.choice([50, 1 << 20]))
        assert reading is not None
        assert reading.frames == []
        assert reading.damaged_bytes + reading.torn_bytes == len(junk)


def test_frames_of_unknown_types_are_passed_over_without_being_called_damaged(folder: Path) -> None:
    reading = read_bytes(folder, segment_bytes([FRAMES[0], (99, exchange_id(1), 0, b"new"), FRAMES[1]]))
    assert reading is not None
    assert reading.frames == FRAMES[:2]
    assert reading.damaged_bytes == 0


def test_the_salt_is_the_headers(folder: Path) -> None:
    assert HEADER.salt == SALT
    content = header_bytes() + frame_bytes(FRAMES[0], b"not the salt")
    reading = read_bytes(folder, content)
    assert reading is not None
    assert reading.frames == []
