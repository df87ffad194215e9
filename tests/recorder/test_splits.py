"""However a stream was cut on its way, its record is the same: decoders see whole bodies, put together from pieces."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.clock import new_id, wall_ns
from app.exchange import Begin, FrameType
from app.journal.frame import Frame
from app.recorder.assemble import Assembler
from app.recorder.bodies import whole_body
from app.recorder.record import make_record
from app.store.writing.record import Record
from tests.decode.reading import FIXTURES
from tests.recorder.frames import REQUEST, Shelf, begin_of, frames_of

STREAMS = sorted(file.stem for file in FIXTURES.glob("*.sse"))


def record_of(begin: Begin, exchange_id: bytes, answer: bytes, borders: list[int]) -> tuple[Record, bytes]:
    """The record of an answer that came in pieces which end at the borders, and its body; times are left out."""
    whole = frames_of(begin, answer=answer, exchange_id=exchange_id)
    (place,) = (n for n, frame in enumerate(whole) if frame.kind == FrameType.RESPONSE_CHUNK)
    ends = [*borders, len(answer)]
    pieces = [answer[start:end] for start, end in zip([0, *borders], ends, strict=True)]
    chunk = whole[place]
    chunks = [replace(chunk, payload=piece, sequence=place + n) for n, piece in enumerate(pieces)]
    end = replace(whole[-1], sequence=place + len(chunks))
    return _record([*whole[:place], *chunks, end])


def _record(frames: list[Frame]) -> tuple[Record, bytes]:
    assembler, shelf = Assembler(), Shelf()
    transcripts = [assembler.take(shelf.segment, frame) for frame in shelf.put(frames)]
    transcript = transcripts[-1]
    assert transcript is not None
    record = make_record(transcript)
    content = record.content
    assert content is not None and content.response_body is not None and content.request_body is not None
    assert whole_body(content.request_body) == REQUEST
    body = whole_body(content.response_body)
    kept = replace(content, chunk_times=[], request_body=None, response_body=None)
    return replace(record, content=kept, duration_us=0, ttft_us=0), body


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_at_every_byte_is_recorded_as_if_it_were_whole(name: str) -> None:
    path = b"/v1/responses" if name.startswith("responses") else b"/v1/chat/completions"
    answer = (FIXTURES / f"{name}.sse").read_bytes()
    begin, exchange_id = begin_of(target=path), new_id(wall_ns())
    whole = record_of(begin, exchange_id, answer, [])
    assert whole[1] == answer
    assert whole[0].capture_status in ("decoded", "partial")
    assert record_of(begin, exchange_id, answer, list(range(1, len(answer)))) == whole
    for border in range(1, len(answer), max(1, len(answer) // 100)):
        assert record_of(begin, exchange_id, answer, [border]) == whole, border
