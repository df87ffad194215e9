"""A segment that version 1 wrote is read for ever; its bytes are checked in and never made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from app.exchange import AnswerHead, Begin, End, FrameType, Note
from app.journal.frame import FLAG_MORE, NO_EXCHANGE
from app.journal.reader import JournalDirectory, SegmentReader
from tests.journal.segments import (
    HEADER,
    NAME,
    exchange_id,
    frame_bytes,
    header_bytes,
    payloads_of,
    read_file,
    seal_bytes,
)

GOLDEN = Path(__file__).parent / "golden" / "version-1.seg"
CALL = exchange_id(1)
BEGIN = Begin(
    3,
    "0a1b2c3d",
    0,
    1_700_000_000_123_456_789,
    "full",
    "POST",
    b"/v1/chat/completions?api-version=1",
    "v1",
    "https://api.openai.com",
    "1.1",
    [(b"Content-Type", b"application/json"), (b"x-odd", b"\xff\x00")],
    "default",
    "ann",
    "thread-1",
    {"team": "red"},
    "0123456789abcdef",
    "wxyz",
    True,
)
HEAD = AnswerHead(200, b"OK", "1.1", [(b"Content-Type", b"text/event-stream")])
END = End("completed", None, None, 12, 14, True, False, [(b"x-trailer", b"1")])
NOTE = Note("skipped", "journal_full", 4, 9)


def golden_bytes() -> bytes:
    """What version 1 writes; only compared with the file."""
    encode = msgspec.msgpack.encode
    return b"".join(
        [
            header_bytes(),
            frame_bytes((FrameType.BEGIN, CALL, 0, encode(BEGIN))),
            frame_bytes((FrameType.REQUEST_CHUNK, CALL, 1, b'{"model"'), flags=FLAG_MORE),
            frame_bytes((FrameType.REQUEST_CHUNK, CALL, 2, b":1 }")),
            frame_bytes((FrameType.RESPONSE_HEAD, CALL, 3, encode(HEAD))),
            frame_bytes((FrameType.NOTE, NO_EXCHANGE, 0, encode(NOTE))),
            frame_bytes((FrameType.RESPONSE_CHUNK, CALL, 4, b"data: [DONE]\n\n")),
            frame_bytes((FrameType.END, CALL, 5, encode(END))),
            seal_bytes(),
        ]
    )


def test_a_segment_of_version_1_is_still_read(folder: Path) -> None:
    shutil.copy(GOLDEN, folder / NAME)
    reading = read_file(folder)
    assert (reading.damaged_bytes, reading.torn_bytes, reading.sealed) == (0, 0, True)
    reader = SegmentReader(JournalDirectory(folder), NAME)
    assert reader.header == HEADER
    reader.close()
    decode = msgspec.msgpack.decode
    begin, request, head, answer, end = payloads_of(reading.places, CALL)
    assert (request, answer) == ((2, b'{"model":1 }'), (4, b"data: [DONE]\n\n"))
    assert decode(begin[1], type=Begin) == BEGIN
    assert decode(head[1], type=AnswerHead) == HEAD
    assert decode(end[1], type=End) == END
    (note,) = payloads_of(reading.places, NO_EXCHANGE)
    assert decode(note[1], type=Note) == NOTE


def test_what_is_written_today_is_what_version_1_wrote() -> None:
    assert golden_bytes() == GOLDEN.read_bytes()
