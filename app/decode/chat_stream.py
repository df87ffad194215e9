"""Chunks of chat completions and of legacy completions, folded into the object that a whole answer would be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.decode.envelope import read_error
from app.decode.events import Fold, StreamEvents, stream_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_index, as_list, as_str
from app.decode.parts import joined_text
from app.decode.toolcalls import ToolCallFold

MAX_CHOICES = 1_024

TEXT_FIELDS = frozenset({"content", "refusal", "reasoning_content", "reasoning"})
LIST_FIELDS = frozenset({"reasoning_details", "images", "annotations"})
FIRST_FIELDS = frozenset({"id", "object", "created", "model", "system_fingerprint", "provider"})
"""Fields of a chunk of which the first that says something counts; Azure's first chunk has them empty."""
LAST_FIELDS = frozenset({"service_tier", "x_groq", "citations"})


@dataclass(slots=True)
class _Choice:
    """One answer of n while it grows; texts are lists of pieces, joined once at the end."""

    role: str | None = None
    texts: dict[str, list[str]] = field(default_factory=dict)
    parts: list[object] = field(default_factory=list)
    lists: dict[str, list[object]] = field(default_factory=dict)
    tools: ToolCallFold = field(default_factory=ToolCallFold)
    function_name: str | None = None
    function_pieces: list[str] = field(default_factory=list)
    audio: dict[str, object] = field(default_factory=dict)
    transcript: list[str] = field(default_factory=list)
    finish_reason: object = None
    whole: dict[str, object] = field(default_factory=dict)
    """A whole message that stood beside the deltas, or in their place."""


class _ChunkFold:
    """What all chunks of a stream have beside their choices."""

    def __init__(self) -> None:
        self.head: dict[str, object] = {}
        self.choices: dict[int, _Choice] = {}
        self.error: object = None
        self.dropped = 0

    def add_head(self, chunk: dict[str, object]) -> None:
        for name, value in chunk.items():
            if not value:
                continue
            if name in FIRST_FIELDS:
                self.head.setdefault(name, value)
            elif name in LAST_FIELDS:
                self.head[name] = value
        if chunk.get("usage") or chunk.get("x_groq"):
            usage = as_dict(chunk.get("usage")) or as_dict(as_dict(chunk.get("x_groq")).get("usage"))
            # Cumulative where it comes more than once.
            self.head["usage"] = usage or self.head.get("usage")

    def choice_at(self, item: dict[str, object], position: int) -> _Choice | None:
        index = as_index(item.get("index"))
        key = position if index is None else index
        if key not in self.choices:
            if len(self.choices) >= MAX_CHOICES:
                self.dropped += 1
                return None
            self.choices[key] = _Choice()
        return self.choices[key]

    @property
    def is_finished(self) -> bool:
        reasons = [choice.finish_reason for choice in self.choices.values()]
        return self.error is not None or (bool(reasons) and all(reasons))


def fold_chat(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """`chat.completion.chunk`s to one `chat.completion`."""
    return _fold(stream, cleaner, _add_chat_choice, _whole_chat_choice)


def fold_completions(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """Pieces of a `text_completion` to one."""
    return _fold(stream, cleaner, _add_text_choice, _whole_text_choice)


def _fold(
    stream: StreamEvents,
    cleaner: TextCleaner,
    add: Callable[[_Choice, dict[str, object]], None],
    whole: Callable[[int, _Choice], object],
) -> Fold:
    fold = _ChunkFold()
    for event in stream.events:
        fold.error = fold.error or stream_error(event)
        fold.add_head(event.value)
        for position, item in enumerate(as_list(event.value.get("choices"))):
            raw = as_dict(item)
            choice = fold.choice_at(raw, position)
            if choice is not None:
                fold.error = fold.error or raw.get("error")
                choice.finish_reason = raw.get("finish_reason") or choice.finish_reason
                add(choice, raw)
    choices = [whole(index, fold.choices[index]) for index in sorted(fold.choices)]
    if fold.dropped or any(choice.tools.dropped for choice in fold.choices.values()):
        cleaner.flags.add("cut")
    return Fold(
        value={**fold.head, "choices": choices},
        is_ended=stream.is_done,
        is_finished=stream.is_done or fold.is_finished,
        error=read_error(fold.error, cleaner),
    )


def _add_chat_choice(choice: _Choice, item: dict[str, object]) -> None:
    choice.whole = as_dict(item.get("message")) or choice.whole
    for name, value in as_dict(item.get("delta")).items():
        if name in TEXT_FIELDS and isinstance(value, str):
            choice.texts.setdefault(name, []).append(value)
        elif value:
            _add_field(choice, name, value)


def _add_field(choice: _Choice, name: str, value: object) -> None:
    """Any field of a delta but a piece of text."""
    if name == "role":
        choice.role = choice.role or as_str(value)
    elif name == "tool_calls":
        for call in as_list(value):
            choice.tools.add(call)
    elif name == "content":
        choice.parts.extend(as_list(value))
    elif name in LIST_FIELDS:
        choice.lists.setdefault(name, []).extend(as_list(value))
    elif name == "function_call":
        _add_function(choice, as_dict(value))
    elif name == "audio":
        _add_audio(choice, as_dict(value))


def _add_function(choice: _Choice, function: dict[str, object]) -> None:
    choice.function_name = choice.function_name or as_str(function.get("name")) or None
    piece = function.get("arguments")
    if isinstance(piece, str):
        choice.function_pieces.append(piece)


def _add_audio(choice: _Choice, audio: dict[str, object]) -> None:
    """Ids and the transcript; the sound itself stays in the bytes."""
    for name, value in audio.items():
        if name == "transcript" and isinstance(value, str):
            choice.transcript.append(value)
        elif name != "data":
            choice.audio[name] = value


def _whole_chat_choice(index: int, choice: _Choice) -> object:
    message: dict[str, object] = {name: "".join(pieces) for name, pieces in choice.texts.items()}
    if choice.parts:
        said = message.get("content")
        message["content"] = _joined_parts(([{"type": "text", "text": said}] if said else []) + choice.parts)
    message.update(choice.lists)
    calls = choice.tools.calls()
    if calls:
        message["tool_calls"] = calls
    if choice.function_name or choice.function_pieces:
        message["function_call"] = {
            "name": choice.function_name,
            "arguments": "".join(choice.function_pieces),
        }
    if choice.audio or choice.transcript:
        message["audio"] = {**choice.audio, "transcript": "".join(choice.transcript)}
    # Only what no delta said is taken from a whole message: it repeats what was streamed.
    for name, value in choice.whole.items():
        if not message.get(name):
            message[name] = value
    message["role"] = choice.role or as_str(choice.whole.get("role")) or "assistant"
    return {"index": index, "message": message, "finish_reason": choice.finish_reason}


def _joined_parts(parts: list[object]) -> list[object]:
    """Typed parts with neighbours of a kind joined, as they would stand in a whole answer (Mistral)."""
    joined: list[dict[str, object]] = []
    pieces: list[str] = []
    for part in parts:
        fields: dict[str, object] = (
            {"type": "text", "text": part} if isinstance(part, str) else {**as_dict(part)}
        )
        if fields.get("type") == "thinking":
            fields = {"type": "thinking", "text": joined_text(fields)}
        text = fields.get("text")
        is_text = fields.get("type") in ("text", "thinking") and isinstance(text, str)
        if not (is_text and pieces and joined[-1]["type"] == fields["type"]):
            if pieces:
                joined[-1]["text"] = "".join(pieces)
            pieces = []
            joined.append(fields)
        if is_text and isinstance(text, str):
            pieces.append(text)
    if pieces:
        joined[-1]["text"] = "".join(pieces)
    return list(joined)


def _add_text_choice(choice: _Choice, item: dict[str, object]) -> None:
    piece = item.get("text")
    if isinstance(piece, str):
        choice.texts.setdefault("text", []).append(piece)


def _whole_text_choice(index: int, choice: _Choice) -> object:
    return {
        "index": index,
        "text": "".join(choice.texts.get("text", [])),
        "finish_reason": choice.finish_reason,
    }
