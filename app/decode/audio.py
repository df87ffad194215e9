"""Speech and transcripts: text to sound and sound to text, whole, as subtitles, and streamed.

Sound is told by size and SHA-256; its bytes stay in the body.
"""

from __future__ import annotations

import binascii
import hashlib
import re

from app.decode.amounts import seconds_of, seconds_text, size_text
from app.decode.envelope import read_error
from app.decode.events import Fold, StreamEvents, event_type, stream_error
from app.decode.images import form_part
from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str
from app.decode.parts import text_part
from app.decode.sniff import sniffed_type
from app.decode.values import Answer, Message

MAX_SEGMENTS = 10_000
PCM_BYTES_A_SECOND = 48_000
"""OpenAI's `pcm`: 24 kHz, 16 bit, one channel."""
SUBTITLE_TYPES = ("text/", "application/x-subrip", "application/octet-stream")
_SUBTITLE_TIME = re.compile(r"-->\s*(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")


def read_speech_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """How to speak, and what."""
    messages = []
    for role, name in (("system", "instructions"), ("user", "input")):
        said = as_str(body.get(name))
        if said:
            messages.append(Message("request", None, role, cleaner.text(said)))
    return messages


def read_speech(body: bytes, media_type: str, cleaner: TextCleaner) -> Answer | None:
    """Sound as it is; None where there is none."""
    if not body:
        return None
    kind = sniffed_type(body[:12]) or media_type
    part: dict[str, object] = {
        "type": "audio",
        "media_type": cleaner.text(kind, 256),
        "size_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    seconds = _length_seconds(body, kind)
    if seconds is not None:
        part["seconds"] = seconds
    return _spoken(part)


def read_speech_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """What streamed sound was folded to."""
    part = as_dict(body.get("audio"))
    if not part:
        return Answer(usage=body.get("usage"))
    answer = _spoken({"type": "audio", **as_dict(cleaner.json(part, 256))})
    return Answer(usage=body.get("usage"), messages=answer.messages, summary=answer.summary)


def fold_speech(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """`speech.audio.delta` and `.done` to the size and digest of the sound."""
    digest, size, head = hashlib.sha256(), 0, b""
    usage: object = None
    error: object = None
    is_ended = stream.is_done
    for event in stream.events:
        kind = event_type(event)
        if kind == "speech.audio.delta":
            piece = _bytes_of(event.value.get("audio") or event.value.get("delta"))
            digest.update(piece)
            size += len(piece)
            head = head or piece[:12]
        elif kind == "speech.audio.done":
            usage, is_ended = event.value.get("usage"), True
        else:
            error = error or stream_error(event)
    told = read_error(error, cleaner)
    audio: dict[str, object] = {"size_bytes": size, "sha256": digest.hexdigest()}
    if (kind_of_sound := sniffed_type(head)) is not None:
        audio["media_type"] = kind_of_sound
    return Fold(
        {"audio": audio if size else None, "usage": usage}, is_ended, is_ended or told is not None, told
    )


def read_transcription_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """One message of the user's: the hints of the prompt, and the sound."""
    prompt = as_str(body.get("prompt"))
    text = cleaner.text(prompt) if prompt else None
    held = body.get("file")
    files = [as_dict(each) for each in (held if isinstance(held, list) else [held])]
    sounds = [form_part(each, "audio", cleaner) for each in files if each]
    parts: list[object] = [text_part(text)] if text and sounds else []
    return [Message("request", None, "user", text, [*parts, *sounds])]


def read_transcription_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """A transcription or translation in JSON, plain, verbose or by speakers."""
    said = as_str(body.get("text"))
    segments = [as_dict(each) for each in as_list(body.get("segments"))]
    if said is None:
        said = "".join(as_str(each.get("text")) or "" for each in segments) or None
    usage = body.get("usage")
    seconds = seconds_of(body.get("duration"))
    if seconds is None:
        seconds = seconds_of(as_dict(usage).get("seconds"))
    text = None if said is None else cleaner.text(said)
    return Answer(
        model=cleaner.label(body.get("model")),
        usage=usage,
        messages=[] if text is None else [_heard(text, _speakers(segments, cleaner))],
        summary=None if text is None else _summary(text, seconds),
    )


def read_transcript(body: bytes, media_type: str, cleaner: TextCleaner) -> Answer | None:
    """A transcript as text or as subtitles; None where it is neither."""
    if not body or not (not media_type or media_type.startswith(SUBTITLE_TYPES)):
        return None
    text = cleaner.text(body.decode("utf-8", "replace"))
    times = _SUBTITLE_TIME.findall(text[-4096:])
    seconds = None
    if times:
        hours, minutes, rest, fraction = times[-1]
        seconds = int(hours or 0) * 3600 + int(minutes) * 60 + int(rest) + int(fraction) / 10 ** len(fraction)
    return Answer(messages=[_heard(text, [])], summary=_summary(text, seconds))


def fold_transcription(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """`transcript.text.delta`, `.segment` and `.done` to one transcription."""
    pieces: list[str] = []
    segments: list[object] = []
    value: dict[str, object] = {}
    error: object = None
    for event in stream.events:
        kind = event_type(event)
        if kind == "transcript.text.delta":
            pieces.append(as_str(event.value.get("delta")) or "")
        elif kind == "transcript.text.segment" and len(segments) < MAX_SEGMENTS:
            segments.append(event.value)
        elif kind == "transcript.text.done":
            value = event.value
        else:
            error = error or stream_error(event)
    told = read_error(error, cleaner)
    is_ended = bool(value) or stream.is_done
    said = as_str(value.get("text")) or "".join(pieces)
    folded: dict[str, object] = {**value, "segments": segments}
    if said or value:
        folded["text"] = said
    return Fold(folded, is_ended, is_ended or told is not None, told)


def _spoken(part: dict[str, object]) -> Answer:
    size, seconds = part.get("size_bytes"), seconds_of(part.get("seconds"))
    words = ["audio", *([seconds_text(seconds)] if seconds is not None else [])]
    if isinstance(size, int):
        words.append(size_text(size))
    return Answer(messages=[Message("response", 0, "assistant", None, [part])], summary=", ".join(words))


def _heard(text: str, parts: list[object]) -> Message:
    return Message("response", 0, "assistant", text, parts)


def _summary(text: str, seconds: float | None) -> str:
    length = "" if seconds is None else f", {seconds_text(seconds)}"
    return f"transcription{length}: {text[:4096]}" if text.strip() else f"transcription{length}, no words"


def _speakers(segments: list[dict[str, object]], cleaner: TextCleaner) -> list[object]:
    """Who said what; nothing where it is not told who."""
    parts: list[object] = []
    for each in segments[:MAX_SEGMENTS]:
        speaker, said = cleaner.label(each.get("speaker")), as_str(each.get("text"))
        if speaker is not None and said is not None:
            part = text_part(cleaner.text(said))
            for name in ("start", "end"):
                if (second := seconds_of(each.get(name))) is not None:
                    part[name] = second
            parts.append({**part, "speaker": speaker})
    return parts


def _length_seconds(body: bytes, kind: str) -> float | None:
    """How long sound is that is not compressed; None where it is."""
    rate = PCM_BYTES_A_SECOND if kind == "audio/pcm" else 0
    if kind == "audio/wav" and body[12:16] == b"fmt ":
        rate = int.from_bytes(body[28:32], "little")
        return round(max(0, len(body) - 44) / rate, 3) if rate >= 1_000 else None
    return round(len(body) / rate, 3) if rate else None


def _bytes_of(value: object) -> bytes:
    if not isinstance(value, str):
        return b""
    try:
        return binascii.a2b_base64(value.encode("ascii", "replace"))
    except binascii.Error:
        return b""
