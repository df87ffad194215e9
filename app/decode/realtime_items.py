"""Items of a realtime conversation: what was said or sent, with the transcript that comes later."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from app.decode.amounts import seconds_of
from app.decode.jsonsafe import TextCleaner, as_dict, as_index, as_list, as_str
from app.decode.responses import read_responses_request
from app.decode.values import Message

MAX_TRANSCRIPTS = 64
"""Parts of one item that have a transcript of their own."""


@dataclass(slots=True)
class SpokenItem:
    """One item of a conversation while events about it come."""

    message: Message | None = None
    is_sent: bool = False
    """The message is the one that the client sent: it has more than the server tells of it."""
    is_placed: bool = False
    pieces: dict[int, list[str]] = field(default_factory=dict)
    """Transcripts while they come, by part."""
    transcripts: dict[int, str] = field(default_factory=dict)
    started_ms: float | None = None
    stopped_ms: float | None = None

    def add_transcript(self, step: str, event: dict[str, object]) -> None:
        """`delta`, `completed`, or another step that brings no text."""
        index = as_index(event.get("content_index")) or 0
        if index not in self.pieces and len(self.pieces) >= MAX_TRANSCRIPTS:
            return
        if step == "delta":
            self.pieces.setdefault(index, []).append(as_str(event.get("delta")) or "")
        elif step == "completed":
            self.pieces.setdefault(index, [])
            self.transcripts[index] = as_str(event.get("transcript")) or ""

    def add_time(self, event: dict[str, object]) -> None:
        """When speech began or stopped, in the sound that was sent."""
        started, stopped = event.get("audio_start_ms"), event.get("audio_end_ms")
        if isinstance(started, int | float) and not isinstance(started, bool):
            self.started_ms = started
        if isinstance(stopped, int | float) and not isinstance(stopped, bool):
            self.stopped_ms = stopped

    @property
    def transcript(self) -> str:
        """All that was heard in the item, as far as it is known."""
        known = {index: "".join(pieces) for index, pieces in self.pieces.items()} | self.transcripts
        return " ".join(text for _, text in sorted(known.items()) if text)

    @property
    def seconds(self) -> float | None:
        """How long the speech was, where it was told."""
        if self.started_ms is None or self.stopped_ms is None:
            return None
        return seconds_of((self.stopped_ms - self.started_ms) / 1000)


@dataclass(slots=True)
class Heard:
    """What one side said in a translation or a live session, until the other side speaks."""

    role: str
    pieces: list[str]

    def message(self, cleaner: TextCleaner) -> Message:
        """As one message."""
        text = cleaner.text("".join(self.pieces))
        if self.role == "user":
            return Message("request", None, "user", text)
        return Message("response", 0, self.role, text)


def read_item(item: dict[str, object], cleaner: TextCleaner) -> Message | None:
    """An item of a conversation as a message of the request; None where it is none."""
    if not item.get("type") and not item.get("role"):
        return None
    content = [_plain_part(part) for part in as_list(item.get("content"))]
    read = read_responses_request({"input": [{**item, "content": content}]}, cleaner)
    return with_words(read[0]) if read else None


def with_words(message: Message) -> Message:
    """The message with the words of its sound as its text, where it has no other."""
    if message.text:
        return message
    words = [
        text for part in message.parts if isinstance(part, dict) and (text := as_str(part.get("transcript")))
    ]
    return replace(message, text=" ".join(words)) if words else message


def with_transcript(message: Message, item: SpokenItem, cleaner: TextCleaner) -> Message:
    """The message with what was heard of it, in its first part of sound."""
    heard, seconds = cleaner.text(item.transcript), item.seconds
    if not heard and seconds is None:
        return message
    parts = list(message.parts) or [{"type": "audio"}]
    for number, part in enumerate(parts):
        fields = as_dict(part)
        if fields.get("type") == "audio":
            told: dict[str, object] = {**fields, "transcript": heard} if heard else dict(fields)
            parts[number] = told if seconds is None else {**told, "seconds": round(seconds, 3)}
            break
    return with_words(replace(message, parts=parts))


def _plain_part(part: object) -> object:
    """Sound stands under `audio` here, and under `data` everywhere else."""
    fields = as_dict(part)
    sound = fields.get("audio")
    if not isinstance(sound, str):
        return part
    return {**{name: value for name, value in fields.items() if name != "audio"}, "data": sound}
