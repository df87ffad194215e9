from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.exchange import FrameType, Note
from app.journal.frame import FLAG_MORE, Frame
from app.recorder.assemble import Assembler
from app.recorder.bodies import whole_body
from app.recorder.segment import CARRIED, RECORDED, Segment
from app.recorder.transcript import MAX_CHUNK_TIMES, Transcript
from app.store.writing.record import SLICE_BYTES
from tests.recorder.frames import ANSWER, REQUEST, Shelf, begin_of, frames_of, note_frame


def feed(assembler: Assembler, shelf: Shelf, frames: list[Frame]) -> list[Transcript]:
    ended = [assembler.take(shelf.segment, frame) for frame in shelf.put(frames)]
    return [each for each in ended if each is not None]


def test_frames_of_one_exchange_become_its_transcript() -> None:
    assembler, shelf = Assembler(), Shelf()
    (transcript,) = feed(assembler, shelf, frames_of(pieces=3))
    assert whole_body(transcript.request_body()) == REQUEST
    assert whole_body(transcript.response_body()) == ANSWER
    assert transcript.response_body().sha256 == hashlib.sha256(ANSWER).digest()
    assert [each.offset_us for each in transcript.chunk_times()] == [3_000, 4_000, 5_000]
    assert sum(each.size_bytes for each in transcript.chunk_times()) == len(ANSWER)
    assert not transcript.has_gap
    assert transcript.microseconds_at(transcript.last_monotonic_ns) == 6_000


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_interleaving_over_any_segments_gives_the_same_transcripts(data: st.DataObject) -> None:
    number = data.draw(st.integers(1, 6))
    exchanges = [
        frames_of(begin_of(n), request=b"q%d" % n * n, answer=b"a%d" % n * 50, pieces=n + 1)
        for n in range(number)
    ]
    budget = data.draw(st.sampled_from([0, 100, 1 << 20]))
    assembler, shelves, ended = Assembler(budget), [Shelf(0)], []
    queues = [list(each) for each in exchanges]
    while any(queues):
        queue = data.draw(st.sampled_from([each for each in queues if each]))
        ended += feed(assembler, shelves[-1], [queue.pop(0)])
        if data.draw(st.integers(0, 5)) == 0:
            shelves.append(Shelf(len(shelves)))
    assert {each.id for each in ended} == {each[0].exchange_id for each in exchanges}
    for transcript in ended:
        frames = next(each for each in exchanges if each[0].exchange_id == transcript.id)
        answer = b"".join(each.payload for each in frames if each.kind == FrameType.RESPONSE_CHUNK)
        assert whole_body(transcript.response_body()) == answer
        assert transcript.response_body().sha256 == hashlib.sha256(answer).digest()
        assembler.settle(transcript, RECORDED)
    assert len(assembler) == assembler.held_bytes == 0
    for shelf in shelves:
        assert not shelf.segment.open
    assert sum(shelf.segment.account().recorded for shelf in shelves) == number
    numbers = [shelf.segment.accept_numbers for shelf in shelves if shelf.segment.accept_numbers]
    assert (min(first for first, _ in numbers), max(last for _, last in numbers)) == (0, number - 1)


@pytest.mark.parametrize("carried_first", [True, False])
def test_frames_that_come_twice_count_once(carried_first: bool) -> None:
    assembler, carry, original, later = Assembler(), Shelf(9, is_carry=True), Shelf(0), Shelf(1)
    frames = frames_of(pieces=10)
    for shelf in (carry, original) if carried_first else (original, carry):
        assert feed(assembler, shelf, frames[:7]) == []
    (transcript,) = feed(assembler, later, frames[7:])
    assert whole_body(transcript.response_body()) == ANSWER
    assert not transcript.has_gap
    assert carry.segment.open and original.segment.open and later.segment.open
    assembler.settle(transcript, RECORDED)
    assert carry.segment.account().recorded == 1
    assert original.segment.counts == {CARRIED: 1}
    assert later.segment.counts == {}
    assert carry.segment.account().first_accept_number is None
    assert not carry.segment.open and not original.segment.open and not later.segment.open


def test_frames_that_come_again_after_the_end_still_hold_their_segment() -> None:
    assembler, first, second = Assembler(), Shelf(0), Shelf(1)
    frames = frames_of()
    (transcript,) = feed(assembler, first, frames)
    assert feed(assembler, second, frames) == []
    assert second.segment.open
    assembler.settle(transcript, RECORDED)
    assert not second.segment.open
    assert (first.segment.counts, second.segment.counts) == ({CARRIED: 1}, {RECORDED: 1})


@pytest.mark.parametrize("lost", range(1, 5))
def test_a_lost_frame_is_noticed(lost: int) -> None:
    frames = frames_of(pieces=3)
    (transcript,) = feed(Assembler(), Shelf(), frames[:lost] + frames[lost + 1 :])
    assert transcript.has_gap


def test_the_rest_of_an_exchange_that_was_delivered_before_is_passed_over() -> None:
    assembler, shelf = Assembler(), Shelf(1)
    assert feed(assembler, shelf, frames_of()[2:]) == []
    assert len(assembler) == 0
    assert not shelf.segment.open


def test_an_exchange_whose_begin_was_damaged_is_kept() -> None:
    assembler, shelf = Assembler(), Shelf(1)
    assembler.saw_damage(shelf.segment.chain)
    (transcript,) = feed(assembler, shelf, frames_of()[1:])
    assert transcript.has_gap and transcript.begin is None
    assembler.settle(transcript, RECORDED)
    assert shelf.segment.account().recorded == 0


def test_what_a_dead_writer_left_open_ends_as_crashed() -> None:
    assembler, shelf = Assembler(), Shelf()
    frames = frames_of(pieces=4, with_end=False)
    assert feed(assembler, shelf, frames) == []
    assert feed(assembler, Shelf(boot="ffffffff"), frames_of(begin_of(1), with_end=False)) == []
    assert assembler.close({("none", 0)}) == []
    (transcript,) = assembler.close({("0a0b0c0d", 0)})
    assert transcript.id == frames[0].exchange_id
    assert transcript.end is not None
    assert (transcript.end.outcome, transcript.end.reason) == ("proxy_crashed", "no_end")
    assert transcript.end.response_bytes == len(ANSWER)
    assert whole_body(transcript.response_body()) == ANSWER


def test_memory_for_bodies_is_bounded_by_the_budget() -> None:
    assembler, shelf = Assembler(held_bytes_max=10_000), Shelf()
    transcripts = []
    for number in range(20):
        transcripts += feed(assembler, shelf, frames_of(begin_of(number), answer=bytes([number]) * 3_000))
        assert assembler.held_bytes <= 10_000
    assert sum(each.response.pieces is not None for each in transcripts) == 3
    for number, transcript in enumerate(transcripts):
        body = transcript.response_body()
        assert whole_body(body) == bytes([number]) * 3_000
        assert body.sha256 == hashlib.sha256(bytes([number]) * 3_000).digest()
        assembler.settle(transcript, RECORDED)
    assert assembler.held_bytes == 0


def test_large_bodies_leave_memory_and_come_back_in_slices() -> None:
    body = random.Random(1).randbytes(2 * SLICE_BYTES + 12_345)
    assembler, shelf = Assembler(), Shelf()
    (transcript,) = feed(assembler, shelf, frames_of(answer=body, request=body, pieces=97))
    assert assembler.held_bytes == 0
    for source in (transcript.request_body(), transcript.response_body()):
        slices = list(source.slices())
        assert [len(each) for each in slices] == [SLICE_BYTES, SLICE_BYTES, 12_345]
        assert b"".join(slices) == body
        assert source.length_bytes == len(body)
        assert list(source.slices()) == slices


def test_neighbouring_frames_are_one_extent() -> None:
    assembler, shelf = Assembler(), Shelf()
    (transcript,) = feed(assembler, shelf, frames_of(pieces=50))
    assert len(list(transcript.extents.runs())) == 1
    assert transcript.extents.size_bytes == sum(each.size_bytes for each in shelf.frames)


def test_a_piece_that_fills_several_frames_arrived_once() -> None:
    frames = frames_of(pieces=3)
    frames[3] = replace(frames[3], flags=FLAG_MORE)
    (transcript,) = feed(Assembler(), Shelf(), frames)
    assert len(transcript.chunk_times()) == 2


def test_the_times_of_a_million_pieces_stay_small() -> None:
    assembler, shelf = Assembler(), Shelf()
    (transcript,) = feed(assembler, shelf, frames_of(answer=b"x" * 70_000, pieces=70_000))
    times = transcript.chunk_times()
    assert len(times) == MAX_CHUNK_TIMES
    assert sum(each.size_bytes for each in times) == 70_000


def test_notes_of_what_was_not_recorded_are_counted() -> None:
    assembler, shelf = Assembler(), Shelf()
    notes = [
        Note("skipped", "off", 5, 7),
        Note("skipped", "journal_full", 8, 8),
        Note("retried"),
        Note("skipped", "off"),
    ]
    assert feed(assembler, shelf, [note_frame(each) for each in notes]) == []
    account = shelf.segment.account()
    assert (account.first_accept_number, account.last_accept_number) == (5, 8)
    assert (account.off, account.dropped) == (3, 1)


def test_a_head_of_another_version_is_a_gap_and_no_error() -> None:
    frames = frames_of()
    broken = [
        replace(each, payload=b"\xc1") if each.kind in (FrameType.RESPONSE_HEAD, FrameType.END) else each
        for each in frames
    ]
    (transcript,) = feed(Assembler(), Shelf(), broken)
    assert transcript.has_gap
    assert transcript.end is not None and transcript.end.reason == "end_unreadable"


def test_a_segment_is_free_when_it_was_read_and_nothing_wants_it() -> None:
    assembler, shelf = Assembler(), Shelf()
    (transcript,) = feed(assembler, shelf, frames_of())
    segment: Segment = shelf.segment
    assert not segment.is_free
    assembler.settle(transcript, RECORDED)
    assert not segment.is_free
    segment.is_finished = True
    assert segment.is_free
