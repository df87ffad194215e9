"""What is too large to be held, and what follows an upgrade, is read piece by piece."""

from __future__ import annotations

from dataclasses import replace

from app.exchange import AnswerHead, FrameType
from app.recorder.assemble import Assembler
from app.recorder.record import MAX_DECODED_BYTES, make_record
from app.recorder.transcript import Transcript
from app.store.writing.record import Record
from tests.decode.frames import Deflater, frame, socket_bytes
from tests.recorder.frames import Shelf, begin_of, encode, frames_of

UPGRADE = [(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Extensions", b"permessage-deflate")]
DONE = {
    "id": "resp_1",
    "status": "completed",
    "output": [
        {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Noon."}]}
    ],
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


def session_record(client: bytes, server: bytes) -> Record:
    begin = begin_of(method="GET", target=b"/v1/realtime?model=gpt-realtime", headers=UPGRADE)
    head = encode(AnswerHead(101, b"Switching Protocols", "1.1", UPGRADE))
    frames = [
        replace(each, payload=head) if each.kind == FrameType.RESPONSE_HEAD else each
        for each in frames_of(begin, request=client, answer=server, pieces=3)
    ]
    assembler, shelf = Assembler(), Shelf()
    ended: list[Transcript | None] = [assembler.take(shelf.segment, each) for each in shelf.put(frames)]
    assert ended[-1] is not None
    return make_record(ended[-1])


def server_bytes(filler: int = 0) -> bytes:
    deflater = Deflater()
    return frame(bytes(filler), 2) * bool(filler) + socket_bytes(
        [
            {"type": "session.created", "session": {"id": "sess_1"}},
            {"type": "response.done", "response": DONE},
        ],
        is_client=False,
        deflater=deflater,
    )


def test_the_bytes_after_an_upgrade_are_a_session() -> None:
    record = session_record(socket_bytes([], is_client=True, deflater=Deflater()), server_bytes())
    assert (record.status, record.route, record.capture_status) == (101, "realtime", "decoded")
    assert (record.model, record.upstream_id, record.usage.input_tokens) == ("gpt-realtime", "sess_1", 3)
    assert record.content is not None
    assert record.content.response_preview == "1 response: Noon."


def test_a_session_too_large_to_be_held_is_read_all_the_same() -> None:
    sound = 10 << 20
    record = session_record(frame(bytes(sound), 2) * 2, frame(bytes(sound), 2) + server_bytes(sound))
    assert (record.capture_status, record.usage.output_tokens) == ("decoded", 4)


def test_a_form_too_large_to_be_held_tells_its_fields_and_its_file() -> None:
    size = MAX_DECODED_BYTES + 1
    body = (
        b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--X\r\nContent-Disposition: form-data; name="file"; filename="talk.mp3"\r\n\r\n'
        + bytes(size)
        + b"\r\n--X--"
    )
    headers = [(b"Content-Type", b"multipart/form-data; boundary=X")]
    begin = begin_of(target=b"/v1/audio/transcriptions", headers=headers)
    assembler, shelf = Assembler(), Shelf()
    answer = b'{"text": "Hello", "usage": {"type": "duration", "seconds": 1048}}'
    frames = shelf.put(frames_of(begin, request=body, answer=answer))
    ended = [assembler.take(shelf.segment, each) for each in frames]
    assert ended[-1] is not None
    record = make_record(ended[-1])
    assert (record.model, record.capture_status) == ("whisper-1", "decoded")
    assert record.content is not None
    assert record.content.request_preview == "[audio talk.mp3, 17 MB]"
    assert record.content.response_preview == "transcription, 17 min 28 s: Hello"
