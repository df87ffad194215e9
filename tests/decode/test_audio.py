"""Speech and transcripts, whole, as subtitles and streamed."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.decode.endpoints import call, form, said, sse

MP3 = b"ID3\x04" + bytes(996)
UPLOAD = form(("model", "whisper-1"), ("file", ("talk.mp3", "audio/mpeg", MP3)), ("prompt", "Names: Ann"))
HEARD = {"type": "audio", "filename": "talk.mp3", "media_type": "audio/mpeg", "size_bytes": 1000}


def test_speech_is_its_text_and_the_digest_of_the_sound() -> None:
    asked = {"model": "tts-1", "voice": "alloy", "input": "Hello", "instructions": "Cheerful"}
    decoded = call("audio/speech", asked, MP3, kind="audio/mpeg")
    assert said(decoded) == [
        ("request", "system", "Cheerful"),
        ("request", "user", "Hello"),
        ("response", "assistant", None),
    ]
    assert decoded.messages[2].parts == [
        {
            "type": "audio",
            "media_type": "audio/mpeg",
            "size_bytes": 1000,
            "sha256": hashlib.sha256(MP3).hexdigest(),
        }
    ]
    assert (decoded.capture_status, decoded.model_asked, decoded.response_preview) == (
        "decoded",
        "tts-1",
        "audio, 1.0 KB",
    )


@pytest.mark.parametrize(
    ("kind", "body", "preview"),
    [
        ("audio/pcm", bytes(96_000), "audio, 2 s, 96 KB"),
        (
            "audio/wav",
            b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(12) + (48_000).to_bytes(4, "little") + bytes(72_012),
            "audio, 1.5 s, 72 KB",
        ),
        ("audio/wav", b"RIFF", "audio, 4 B"),
        ("application/octet-stream", b"OggS" + bytes(96), "audio, 100 B"),
    ],
)
def test_the_length_of_plain_sound_is_told(kind: str, body: bytes, preview: str) -> None:
    assert call("audio/speech", {"input": "x"}, body, kind=kind).response_preview == preview


def test_sound_that_was_cut_or_never_came_says_so() -> None:
    assert (
        call("audio/speech", {"input": "x"}, MP3, kind="audio/mpeg", complete=False).capture_status
        == "partial"
    )
    assert call("audio/speech", {"input": "x"}, b"", kind="audio/mpeg").capture_status == "unreadable"
    error = {"error": {"message": "No such voice", "code": "invalid_voice"}}
    assert call("audio/speech", {"input": "x"}, error, status=400).error_code == "invalid_voice"


def test_streamed_speech_is_put_together() -> None:
    pieces = [
        {"type": "speech.audio.delta", "audio": base64.b64encode(MP3[start : start + 333]).decode()}
        for start in range(0, 1000, 333)
    ]
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    body = sse(*pieces, {"type": "speech.audio.done", "usage": usage})
    decoded = call("audio/speech", {"input": "x", "stream_format": "sse"}, body, kind="text/event-stream")
    part = {
        "type": "audio",
        "media_type": "audio/mpeg",
        "size_bytes": 1000,
        "sha256": hashlib.sha256(MP3).hexdigest(),
    }
    assert decoded.messages[1].parts == [part]
    assert (decoded.usage.output_tokens, decoded.capture_status) == (101, "decoded")
    cut = call("audio/speech", {"input": "x"}, sse(*pieces), kind="text/event-stream")
    assert (cut.capture_status, cut.messages[1].parts) == ("partial", [part])


@pytest.mark.parametrize("route", ["audio/transcriptions", "audio/translations"])
def test_a_transcription_by_form_is_read_with_its_sound_and_hints(route: str) -> None:
    decoded = call(route, UPLOAD, {"text": "Hello Ann", "usage": {"type": "duration", "seconds": 12.4}})
    assert said(decoded) == [("request", "user", "Names: Ann"), ("response", "assistant", "Hello Ann")]
    assert decoded.messages[0].parts == [
        {"type": "text", "text": "Names: Ann"},
        {**HEARD, "sha256": hashlib.sha256(MP3).hexdigest()},
    ]
    assert (decoded.model_asked, decoded.usage.detail.audio_seconds) == ("whisper-1", 12.4)
    assert decoded.response_preview == "transcription, 12.4 s: Hello Ann"


def test_usage_in_tokens_is_read_as_well() -> None:
    usage = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": 45,
        "total_tokens": 59,
    }
    decoded = call("audio/transcriptions", UPLOAD, {"text": "Hi", "usage": usage})
    assert (decoded.usage.input_audio_tokens, decoded.usage.output_tokens) == (14, 45)


def test_a_verbose_transcription_tells_its_length() -> None:
    told = {
        "task": "transcribe",
        "language": "english",
        "duration": 200.1,
        "text": "Hi",
        "segments": [{"id": 0}],
    }
    decoded = call("audio/transcriptions", UPLOAD, told)
    assert (decoded.response_preview, decoded.usage.source) == ("transcription, 3 min 20 s: Hi", "absent")


def test_speakers_are_kept_apart() -> None:
    segments = [
        {
            "type": "transcript.text.segment",
            "id": "s1",
            "start": 0.0,
            "end": 1.5,
            "text": "Hi. ",
            "speaker": "A",
        },
        {
            "type": "transcript.text.segment",
            "id": "s2",
            "start": 1.5,
            "end": 3,
            "text": "Hello.",
            "speaker": "B",
        },
    ]
    told = {"task": "transcribe", "duration": 3.0, "text": "Hi. Hello.", "segments": segments}
    decoded = call("audio/transcriptions", UPLOAD, told)
    parts = [
        {"type": "text", "text": "Hi. ", "start": 0.0, "end": 1.5, "speaker": "A"},
        {"type": "text", "text": "Hello.", "start": 1.5, "end": 3.0, "speaker": "B"},
    ]
    assert (decoded.messages[1].text, decoded.messages[1].parts) == ("Hi. Hello.", parts)
    body = sse(*segments, {"type": "transcript.text.done", "text": "Hi. Hello."})
    streamed = call("audio/transcriptions", UPLOAD, body, kind="text/event-stream")
    assert streamed.messages[1].parts == parts


@pytest.mark.parametrize(
    ("body", "preview"),
    [
        (b"Hello Ann\n", "transcription: Hello Ann"),
        (
            b"1\n00:00:00,000 --> 00:00:02,500\nHello Ann\n",
            "transcription, 2.5 s: 1 00:00:00,000 --> 00:00:02,500 Hello Ann",
        ),
        (
            b"WEBVTT\n\n00:00.000 --> 01:02.500\nHello",
            "transcription, 1 min 2 s: WEBVTT 00:00.000 --> 01:02.500 Hello",
        ),
        (b"\n", "transcription, no words"),
    ],
)
def test_plain_text_and_subtitles_are_transcripts(body: bytes, preview: str) -> None:
    decoded = call("audio/transcriptions", UPLOAD, body, kind="text/plain; charset=utf-8")
    assert (decoded.capture_status, decoded.response_preview) == ("decoded", preview)
    assert decoded.messages[1].text == body.decode()


def test_a_streamed_transcript_is_put_together_and_counted() -> None:
    usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 2, "total_tokens": 16}
    deltas = [{"type": "transcript.text.delta", "delta": text} for text in ("Hel", "lo ", "Ann")]
    done = {"type": "transcript.text.done", "text": "Hello Ann", "usage": usage}
    whole = call("audio/transcriptions", UPLOAD, sse(*deltas, done), kind="text/event-stream")
    assert (whole.messages[1].text, whole.capture_status, whole.usage.total_tokens) == (
        "Hello Ann",
        "decoded",
        16,
    )
    cut = call("audio/transcriptions", UPLOAD, sse(*deltas), kind="text/event-stream")
    assert (cut.messages[1].text, cut.capture_status) == ("Hello Ann", "partial")


def test_a_form_that_was_cut_is_read_as_far_as_it_came() -> None:
    decoded = call("audio/transcriptions", UPLOAD[:400], {"text": "Hi"})
    assert (decoded.model_asked, decoded.capture_status) == ("whisper-1", "partial")
    decoded = call("audio/transcriptions", b"[omitted]", {"text": "Hi"})
    assert (decoded.model_asked, decoded.capture_status) == (None, "unreadable")
