"""Events of a session over a WebSocket: OpenAI's Realtime API (beta and GA), its translations and live sessions, and
the Responses API, folded to messages in the order in which they were said.

The server's events are the order, since it confirms every item; what a client sent stands where the server took it
up, or before the response that it asked for. Deltas of sound are counted and let go. Unknown events say nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from app.decode.envelope import read_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str
from app.decode.realtime_items import Heard, SpokenItem, read_item, with_transcript
from app.decode.realtime_response import OpenResponse, SessionAnswer
from app.decode.responses import read_responses_request
from app.decode.sums import add_usage
from app.decode.values import ErrorInfo, Message

MAX_ENTRIES = 50_000
"""Messages of one session that are kept."""
MAX_OPEN = 256
"""Responses at work at once, of which only the latest are kept."""
TRANSCRIPTION = "conversation.item.input_audio_transcription."
ITEM_EVENTS = (
    "conversation.item.created",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.retrieved",
)
HEARD = {"session.input_transcript.delta": "user", "session.output_transcript.delta": "assistant"}
"""Translations and live sessions tell what was said as one text for each side."""


@dataclass(frozen=True, slots=True)
class _ItemEntry:
    id: str


@dataclass(frozen=True, slots=True)
class _AnswerEntry:
    key: str


@dataclass(frozen=True, slots=True)
class _TurnEntry:
    """Here stands what the client said before its n-th `response.create`, as far as no item confirmed it."""

    number: int


@dataclass(slots=True)
class _Sent:
    """A message that the client sent."""

    message: Message
    id: str | None = None
    kind: str = ""
    is_item: bool = False
    is_confirmed: bool = False


_Entry = Message | Heard | _ItemEntry | _AnswerEntry | _TurnEntry


@dataclass(slots=True)
class SessionMeaning:
    """What a session came to."""

    id: str | None = None
    model_asked: str | None = None
    model_served: str | None = None
    service_tier: str | None = None
    user: str | None = None
    status: str | None = None
    """Of the last response."""
    usage: dict[str, object] = field(default_factory=dict)
    error: ErrorInfo | None = None
    responses: int = 0
    messages: list[Message] = field(default_factory=list)


class SessionFold:
    """Events of the client, then events of the server, in; the meaning of the session out."""

    def __init__(self, cleaner: TextCleaner) -> None:
        self._cleaner = cleaner
        self._meaning = SessionMeaning()
        self._log: list[_Entry] = []
        self._turns: list[list[_Sent]] = [[]]
        self._next_turn = 0
        self._sent_without_id: dict[str, deque[_Sent]] = {}
        self._sent_count = 0
        self._sent_by_id: dict[str, _Sent] = {}
        self._items: dict[str, SpokenItem] = {}
        self._owned: set[str] = set()
        self._open: dict[str, OpenResponse] = {}
        self._answers: dict[str, SessionAnswer] = {}
        self._current = ""
        self._instructions: str | None = None
        self._transcription_usage: dict[str, object] = {}
        self._transcription_model: object = None
        self._session_usage: dict[str, object] = {}

    def __repr__(self) -> str:
        return f"<SessionFold entries={len(self._log)} answers={len(self._answers)} open={len(self._open)}>"

    def from_client(self, event: dict[str, object]) -> None:
        """The client's next event; all of them before the first of the server's."""
        kind = as_str(event.get("type"))
        if kind == "response.create":
            details = as_dict(event.get("response")) or event
            self._note_asked(details)
            for message in read_responses_request(_with_items(details), self._cleaner):
                self._send(_Sent(message))
            self._turns.append([])
        elif kind == "conversation.item.create":
            item = as_dict(event.get("item"))
            created = read_item(item, self._cleaner)
            if created is not None:
                self._send(_Sent(created, as_str(item.get("id")), _kind_of(item), is_item=True))
        elif kind in ("session.update", "session.start", "transcription_session.update"):
            session = as_dict(event.get("session"))
            self._note_asked(session)
            instructions = as_str(session.get("instructions"))
            if instructions:
                self._send(_Sent(self._system(instructions), kind="system"))

    def from_server(self, event: dict[str, object]) -> None:
        """The server's next event."""
        kind = as_str(event.get("type")) or ""
        if kind == "response.event":
            event = as_dict(event.get("event"))
            kind = as_str(event.get("type")) or ""
        if kind.startswith("response."):
            self._add_to_response(kind, event)
        elif kind.startswith("conversation.") or kind == "input_audio_buffer.committed":
            self._add_item(kind, event)
        elif kind.startswith("input_audio_buffer.speech_"):
            self._item(event.get("item_id"), is_said=False).add_time(event)
        elif kind.startswith(("session.", "transcription_session.")):
            self._add_session(kind, event)
        elif kind == "error" or event.get("error"):
            self._meaning.error = read_error(event.get("error") or event, self._cleaner)
            if not self._open and self._is_refusal(event):
                self._begin_turn()

    def finish(self) -> SessionMeaning:
        """The meaning of all events so far; to be asked for once."""
        for key in list(self._open):
            self._close(key)
        self._log.extend(_TurnEntry(number) for number in range(self._next_turn, len(self._turns)))
        meaning = self._meaning
        for entry in self._log:
            self._tell(entry, meaning.messages)
        if len(meaning.messages) > MAX_ENTRIES:
            self._cleaner.flags.add("cut")
            del meaning.messages[MAX_ENTRIES:]
        for answer in self._answers.values():
            meaning.usage = add_usage(meaning.usage, answer.usage)
        meaning.usage = add_usage(meaning.usage, self._session_usage)
        if self._transcription_usage:
            beside = {"model": self._transcription_model, **self._transcription_usage}
            meaning.usage = {**meaning.usage, "input_audio_transcription": beside}
        meaning.responses = len(self._answers)
        return meaning

    def _is_refusal(self, event: dict[str, object]) -> bool:
        """Over the Responses API an error without a response is the answer to what was asked."""
        return "event_id" not in event and self._next_turn < len(self._turns) - 1

    def _note_asked(self, details: dict[str, object]) -> None:
        meaning, cleaner = self._meaning, self._cleaner
        meaning.model_asked = meaning.model_asked or cleaner.label(details.get("model"))
        user = cleaner.label(details.get("safety_identifier")) or cleaner.label(details.get("user"))
        meaning.user = meaning.user or user

    def _send(self, sent: _Sent) -> None:
        self._sent_count += 1
        if self._sent_count > MAX_ENTRIES:
            self._cleaner.flags.add("cut")
            return
        self._turns[-1].append(sent)
        if sent.id:
            self._sent_by_id[sent.id] = sent
        elif sent.is_item:
            self._sent_without_id.setdefault(sent.kind, deque()).append(sent)

    def _system(self, instructions: str) -> Message:
        return Message("request", None, "system", self._cleaner.text(instructions))

    def _put(self, entry: _Entry) -> None:
        if len(self._log) >= MAX_ENTRIES:
            self._cleaner.flags.add("cut")
            return
        self._log.append(entry)

    def _add_session(self, kind: str, event: dict[str, object]) -> None:
        if kind in HEARD:
            self._hear(HEARD[kind], as_str(event.get("delta")) or "")
            return
        self._session_usage = as_dict(event.get("usage")) or self._session_usage
        session = as_dict(event.get("session"))
        if not session:
            return
        meaning, cleaner = self._meaning, self._cleaner
        meaning.id = cleaner.label(session.get("id")) or meaning.id
        meaning.model_served = cleaner.label(session.get("model")) or meaning.model_served
        self._session_usage = as_dict(session.get("usage")) or self._session_usage
        heard = as_dict(as_dict(session.get("audio")).get("input")).get("transcription")
        heard = heard or session.get("input_audio_transcription")
        self._transcription_model = as_dict(heard).get("model") or self._transcription_model
        instructions = as_str(session.get("instructions"))
        if instructions and instructions != self._instructions:
            self._instructions = instructions
            if self._log and isinstance(self._log[-1], Message):
                # Nothing was said under the ones before.
                self._log.pop()
            self._put(self._system(instructions))

    def _hear(self, role: str, piece: str) -> None:
        last = self._log[-1] if self._log else None
        if isinstance(last, Heard) and last.role == role:
            last.pieces.append(piece)
        else:
            self._put(Heard(role, [piece]))

    def _add_item(self, kind: str, event: dict[str, object]) -> None:
        if kind.startswith(TRANSCRIPTION):
            item = self._item(event.get("item_id"))
            item.add_transcript(kind.removeprefix(TRANSCRIPTION), event)
            if kind.endswith(".completed"):
                usage = as_dict(event.get("usage"))
                self._transcription_usage = add_usage(self._transcription_usage, usage)
        elif kind in ITEM_EVENTS:
            raw = as_dict(event.get("item"))
            item = self._item(raw.get("id"))
            message = read_item(raw, self._cleaner)
            if message is not None and not item.is_sent:
                sent = self._confirmed(raw)
                item.is_sent = sent is not None
                item.message = sent or message
        elif kind == "input_audio_buffer.committed":
            self._item(event.get("item_id"))

    def _confirmed(self, raw: dict[str, object]) -> Message | None:
        """The message that the client sent for this item."""
        sent = self._sent_by_id.get(as_str(raw.get("id")) or "")
        waiting = self._sent_without_id.get(_kind_of(raw))
        if sent is None and waiting and raw.get("status") != "in_progress":
            is_sound = any(as_dict(part).get("type") == "input_audio" for part in as_list(raw.get("content")))
            sent = waiting.popleft() if _has_sound(waiting[0].message) == is_sound else None
        if sent is None:
            return None
        sent.is_confirmed = True
        return sent.message

    def _item(self, identity: object, is_said: bool = True) -> SpokenItem:
        """The item of that id; a new one takes its place in the order where it `is_said`."""
        key = as_str(identity) or ""
        item = self._items.get(key)
        if item is None:
            if len(self._items) >= MAX_ENTRIES:
                self._cleaner.flags.add("cut")
                return SpokenItem()
            item = self._items[key] = SpokenItem()
        if is_said and not item.is_placed:
            item.is_placed = True
            self._put(_ItemEntry(key))
        return item

    def _add_to_response(self, kind: str, event: dict[str, object]) -> None:
        told = as_dict(event.get("response"))
        key = as_str(event.get("response_id")) or as_str(told.get("id")) or self._current
        if key in self._answers or (not key and kind != "response.created" and not told):
            return
        if key not in self._open:
            if len(self._open) >= MAX_OPEN:
                self._close(next(iter(self._open)))
            self._open[key] = OpenResponse()
            self._begin_turn()
            self._put(_AnswerEntry(key))
        self._current = key
        item_id = as_str(as_dict(event.get("item")).get("id")) or as_str(event.get("item_id"))
        if item_id:
            self._owned.add(item_id)
        if self._open[key].add(kind, event):
            self._close(key)

    def _begin_turn(self) -> None:
        if self._next_turn < len(self._turns) - 1:
            self._put(_TurnEntry(self._next_turn))
            self._next_turn += 1

    def _close(self, key: str) -> None:
        answer = self._open.pop(key).answer(self._cleaner)
        self._answers[key] = answer
        self._current = ""
        self._owned.update(answer.item_ids)
        meaning = self._meaning
        meaning.status = answer.status or meaning.status
        meaning.model_served = answer.model or meaning.model_served
        meaning.service_tier = answer.service_tier or meaning.service_tier
        meaning.error = answer.error or meaning.error
        if not meaning.id or meaning.id in self._answers:
            meaning.id = answer.id or meaning.id

    def _tell(self, entry: _Entry, messages: list[Message]) -> None:
        """Appends what an entry of the log says."""
        if isinstance(entry, Message):
            messages.append(entry)
        elif isinstance(entry, Heard):
            messages.append(entry.message(self._cleaner))
        elif isinstance(entry, _TurnEntry):
            messages.extend(
                sent.message
                for sent in self._turns[entry.number]
                if not sent.is_confirmed and not (sent.kind == "system" and self._instructions)
            )
        elif isinstance(entry, _AnswerEntry):
            messages.extend(self._answers[entry.key].messages)
        elif entry.id not in self._owned:
            item = self._items[entry.id]
            message = item.message or Message("request", None, "user", None, [{"type": "audio"}])
            messages.append(with_transcript(message, item, self._cleaner))


def _with_items(details: dict[str, object]) -> dict[str, object]:
    return {"instructions": details.get("instructions"), "input": details.get("input")}


def _kind_of(item: dict[str, object]) -> str:
    return f"{as_str(item.get('type')) or 'message'}/{as_str(item.get('role')) or ''}"


def _has_sound(message: Message) -> bool:
    return any(isinstance(part, dict) and part.get("type") == "audio" for part in message.parts)
