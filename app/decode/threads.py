"""Assistants: messages of threads, runs and what they said and asked for, whole and streamed; conversations' items."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from app.decode.chat import read_message, read_tool_calls
from app.decode.envelope import read_error
from app.decode.events import Fold, JsonEvent, StreamEvents, stream_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_index, as_list, as_str
from app.decode.objects import object_error, object_summary, read_object
from app.decode.parts import read_content
from app.decode.responses import read_responses_request
from app.decode.values import Answer, Message

MAX_MESSAGES = 10_000
MAX_PARTS = 4_096
MESSAGE_LISTS = ("messages", "additional_messages")
INSTRUCTIONS = ("instructions", "additional_instructions")
RUN_ENDS = ("completed", "incomplete", "failed", "cancelled", "expired", "requires_action")


def read_thread_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """What a thread, a message or a run is made with: instructions, messages, results of tools."""
    messages = [
        Message("request", None, "system", cleaner.text(said))
        for name in INSTRUCTIONS
        if (said := as_str(body.get(name)))
    ]
    for holder in (as_dict(body.get("thread")), body):
        for name in MESSAGE_LISTS:
            messages += [
                read_message(as_dict(each), cleaner) for each in as_list(holder.get(name))[:MAX_MESSAGES]
            ]
    if "role" in body and "content" in body:
        messages.append(read_message(body, cleaner))
    for output in as_list(body.get("tool_outputs"))[:MAX_MESSAGES]:
        fields = as_dict(output)
        content = read_content(fields.get("output"), cleaner)
        call_id = cleaner.label(fields.get("tool_call_id"))
        messages.append(Message("request", None, "tool", content.text, content.parts, tool_call_id=call_id))
    return messages


def read_run_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """A run: the messages that its stream brought, and the calls that it waits for."""
    said = [
        _stored(as_dict(each), cleaner, choice=0) for each in as_list(body.get("messages"))[:MAX_MESSAGES]
    ]
    wanted = as_dict(as_dict(body.get("required_action")).get("submit_tool_outputs"))
    calls = read_tool_calls(wanted, cleaner)
    if calls:
        said.append(Message("response", 0, "assistant", None, tool_calls=calls))
    status = cleaner.label(body.get("status"))
    messages = [replace(each, finish_reason=status) for each in said]
    answer = read_object({**body, "object": body.get("object") or "thread.run"}, cleaner)
    return replace(answer, messages=messages, summary=None if messages else answer.summary)


def read_stored_message(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """A message of a thread, or an item of a conversation, read again; or a list of them."""
    if body.get("deleted") is True:
        return read_object(body, cleaner)
    is_list = isinstance(body.get("data"), list)
    items = [as_dict(each) for each in (as_list(body.get("data")) if is_list else [body])]
    if len(items) > MAX_MESSAGES:
        cleaner.flags.add("cut")
    messages = [_stored(item, cleaner, None) for item in items[:MAX_MESSAGES] if item]
    return Answer(
        upstream_id=cleaner.label(body.get("id")),
        error=object_error(body, cleaner),
        messages=[
            message for message in messages if message.text is not None or message.parts or message.tool_calls
        ],
        summary=object_summary(body, cleaner) if is_list else None,
    )


def read_items_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """The items that a conversation is made with, or that are put into it."""
    return read_responses_request({"input": body.get("items")}, cleaner)


def fold_run(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """Events of a run (`thread.run.*`, `thread.message.*`) to the run, with its messages in `messages`."""
    fold = _RunFold()
    for event in stream.events:
        fold.add(event)
    if fold.dropped:
        cleaner.flags.add("cut")
    told = read_error(fold.error, cleaner)
    is_ended = stream.is_done or fold.run.get("status") in RUN_ENDS
    value = {**fold.run, "messages": [draft.whole() for draft in fold.messages.values()]}
    return Fold(value, is_ended, is_ended or told is not None, told)


@dataclass(slots=True)
class _Draft:
    """A message while it is written."""

    fields: dict[str, object]
    parts: dict[int, list[dict[str, object]]] = field(default_factory=dict)
    """Pieces by the index of their part."""

    def whole(self) -> dict[str, object]:
        """With the content of its last event, else of its deltas."""
        if self.fields.get("content") or not self.parts:
            return self.fields
        return {**self.fields, "content": [_whole_part(pieces) for _, pieces in sorted(self.parts.items())]}


class _RunFold:
    """Events in, a run and its messages out."""

    def __init__(self) -> None:
        self.run: dict[str, object] = {}
        self.messages: dict[str, _Draft] = {}
        self.error: object = None
        self.dropped = 0

    def add(self, event: JsonEvent) -> None:
        kind = as_str(event.value.get("object")) or ""
        if kind == "thread.run":
            self.run.update(event.value)
        elif kind == "thread.message.delta":
            self._add_delta(event.value)
        elif kind == "thread.message":
            draft = self._draft_of(event.value)
            if draft is not None:
                draft.fields.update(event.value)
        elif not kind.startswith("thread"):
            self.error = self.error or stream_error(event)

    def _add_delta(self, value: dict[str, object]) -> None:
        draft = self._draft_of(value)
        for each in as_list(as_dict(value.get("delta")).get("content")) if draft is not None else []:
            piece = as_dict(each)
            index = as_index(piece.get("index")) or 0
            if draft is not None and (index in draft.parts or len(draft.parts) < MAX_PARTS):
                draft.parts.setdefault(index, []).append(piece)

    def _draft_of(self, value: dict[str, object]) -> _Draft | None:
        identity = as_str(value.get("id")) or ""
        if identity not in self.messages and len(self.messages) >= MAX_MESSAGES:
            self.dropped += 1
            return None
        return self.messages.setdefault(identity, _Draft({"role": "assistant"}))


def _whole_part(pieces: list[dict[str, object]]) -> dict[str, object]:
    first = pieces[0]
    if first.get("type") != "text":
        return first
    texts = [as_dict(piece.get("text")) for piece in pieces]
    said = "".join(as_str(text.get("value")) or "" for text in texts)
    notes = [note for text in texts for note in as_list(text.get("annotations"))]
    return {"type": "text", "text": {"value": said, "annotations": notes}}


def _stored(item: dict[str, object], cleaner: TextCleaner, choice: int | None) -> Message:
    """A message of a thread, or an item in the form of responses."""
    kind = as_str(item.get("type"))
    if kind is not None and kind != "message":
        items = read_responses_request({"input": [item]}, cleaner)
        return replace(items[0], direction="response", choice=choice)
    return replace(read_message(item, cleaner), direction="response", choice=choice)
