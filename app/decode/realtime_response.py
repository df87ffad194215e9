"""One response within a session over a WebSocket, from its events to its messages."""

from __future__ import annotations

import binascii
import hashlib
from dataclasses import dataclass, field, replace

from app.decode.envelope import read_error
from app.decode.events import JsonEvent, StreamEvents
from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str
from app.decode.realtime_items import with_words
from app.decode.responses import read_responses_answer
from app.decode.responses_stream import TERMINAL, fold_responses
from app.decode.values import ErrorInfo, Message

SOUND = ("response.audio.delta", "response.output_audio.delta")
MAX_SOUNDS = 256


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """What a response came to."""

    id: str | None
    model: str | None
    status: str | None
    service_tier: str | None
    usage: dict[str, object]
    error: ErrorInfo | None
    messages: list[Message]
    item_ids: list[str]
    """Items of the conversation that are this response's."""


@dataclass(slots=True)
class OpenResponse:
    """A response while it is made."""

    events: list[JsonEvent] = field(default_factory=list)
    sounds: dict[str, tuple[hashlib._Hash, list[int]]] = field(default_factory=dict)
    """By item: the digest, and the sizes of the pieces."""

    def add(self, kind: str, event: dict[str, object]) -> bool:
        """Takes an event; True where it was the last."""
        if kind in SOUND:
            self._add_sound(as_str(event.get("item_id")) or "", as_str(event.get("delta")) or "")
        else:
            self.events.append(JsonEvent(kind, event))
        return kind in TERMINAL

    def answer(self, cleaner: TextCleaner) -> SessionAnswer:
        """What all its events come to."""
        folded = fold_responses(StreamEvents(self.events, is_done=False, unreadable=0), cleaner)
        answer = read_responses_answer(folded.value, cleaner)
        failure = as_dict(folded.value.get("status_details")).get("error")
        items = [as_dict(item) for item in as_list(folded.value.get("output"))]
        return SessionAnswer(
            id=answer.upstream_id,
            model=answer.model,
            status=answer.finish_reason,
            service_tier=answer.service_tier,
            usage=as_dict(answer.usage),
            error=folded.error or answer.error or read_error(failure, cleaner),
            messages=[with_words(self._with_sounds(message)) for message in answer.messages],
            item_ids=[identity for item in items if (identity := as_str(item.get("id")))],
        )

    def _add_sound(self, item_id: str, delta: str) -> None:
        if item_id not in self.sounds and len(self.sounds) >= MAX_SOUNDS:
            return
        digest, sizes = self.sounds.setdefault(item_id, (hashlib.sha256(), [0]))
        try:
            piece = binascii.a2b_base64(delta.encode("ascii", "replace"))
        except binascii.Error:
            return
        digest.update(piece)
        sizes[0] += len(piece)

    def _with_sounds(self, message: Message) -> Message:
        """Parts of sound with the size and digest of what was sent, in order."""
        if not self.sounds:
            return message
        told = iter(self.sounds.values())
        parts: list[object] = []
        for part in message.parts:
            fields = as_dict(part)
            sound = next(told, None) if fields.get("type") == "audio" else None
            if sound is not None:
                part = {**fields, "size_bytes": sound[1][0], "sha256": sound[0].hexdigest()}
            parts.append(part)
        return replace(message, parts=parts)
