"""Events of Anthropic's stream, folded into the `message` that a whole answer would be.

Usage comes in two places: what went in with `message_start`, what came out (and sometimes all of it) with
`message_delta`, cumulative.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.decode.envelope import read_error
from app.decode.events import Fold, JsonEvent, StreamEvents, event_type, stream_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_index, as_list

MAX_BLOCKS = 4_096
MAX_CITATIONS = 4_096

PIECES = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
    "signature_delta": "signature",
    "compaction_delta": "content",
}
"""Type of a delta and the field that has its piece."""
FIELDS = {"partial_json": "input"}
"""Fields of deltas that are called otherwise in the block."""


@dataclass(slots=True)
class _Block:
    begun: dict[str, object] = field(default_factory=dict)
    pieces: dict[str, list[str]] = field(default_factory=dict)
    citations: list[object] = field(default_factory=list)


class _MessageFold:
    """Events in, a message out."""

    def __init__(self) -> None:
        self.message: dict[str, object] = {}
        self.usage: dict[str, object] = {}
        self.is_ended = False
        self.is_stopped = False
        self.error: object = None
        self.dropped = 0
        self._blocks: dict[int, _Block] = {}
        self._last = -1

    def add(self, event: JsonEvent) -> None:
        kind, value = event_type(event), event.value
        if kind == "message_start":
            self._add_message(as_dict(value.get("message")))
        elif kind == "content_block_start":
            block = self._block_at(value, is_begin=True)
            if block is not None:
                block.begun = as_dict(value.get("content_block"))
        elif kind == "content_block_delta":
            self._add_piece(value, as_dict(value.get("delta")))
        elif kind == "message_delta":
            self._add_message({**as_dict(value.get("delta")), "usage": value.get("usage")})
        elif kind == "message_stop":
            self.is_ended = True
        elif kind == "message" and value.get("content") is not None:
            # A whole answer as the only event.
            self._add_message(value)
            self.is_ended = True
        else:
            self.error = self.error or stream_error(event)

    def content(self) -> list[object]:
        """The blocks as a whole answer would have had them."""
        streamed: list[object] = [_whole_block(self._blocks[index]) for index in sorted(self._blocks)]
        return streamed or as_list(self.message.get("content"))

    def _add_message(self, fields: dict[str, object]) -> None:
        usage = as_dict(fields.get("usage"))
        for name, value in usage.items():
            # A later zero says nothing of what went in before.
            if value or name not in self.usage:
                self.usage[name] = value
        self.message.update((name, value) for name, value in fields.items() if value is not None)
        self.is_stopped = self.is_stopped or bool(fields.get("stop_reason"))

    def _add_piece(self, value: dict[str, object], delta: dict[str, object]) -> None:
        block = self._block_at(value)
        if block is None:
            return
        if delta.get("citation") and len(block.citations) < MAX_CITATIONS:
            block.citations.append(delta["citation"])
        kind = delta.get("type")
        name = PIECES.get(kind) if isinstance(kind, str) else None
        piece = delta.get(name) if name is not None else None
        if name is not None and isinstance(piece, str):
            block.pieces.setdefault(FIELDS.get(name, name), []).append(piece)

    def _block_at(self, value: dict[str, object], is_begin: bool = False) -> _Block | None:
        index = as_index(value.get("index"))
        if index is None:
            index = self._last + 1 if is_begin or self._last < 0 else self._last
        if index not in self._blocks:
            if len(self._blocks) >= MAX_BLOCKS:
                self.dropped += 1
                return None
            self._blocks[index] = _Block()
        self._last = index
        return self._blocks[index]


def fold_anthropic(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """Events of one `message`; without `message_stop` or a stop reason it is not finished."""
    fold = _MessageFold()
    for event in stream.events:
        fold.add(event)
    if fold.dropped:
        cleaner.flags.add("cut")
    error = read_error(fold.error, cleaner)
    value = dict(fold.message)
    content = fold.content()
    if content or value:
        value["content"] = content
    if fold.usage:
        value["usage"] = fold.usage
    is_ended = fold.is_ended or stream.is_done
    return Fold(
        value=value,
        is_ended=is_ended,
        is_finished=is_ended or fold.is_stopped or error is not None,
        error=error,
    )


def _whole_block(block: _Block) -> dict[str, object]:
    """The block as it began with what came after; pieces of `input` stay the text that the model wrote."""
    whole = dict(block.begun)
    for name, pieces in block.pieces.items():
        begun = whole.get(name)
        whole[name] = (begun if isinstance(begun, str) else "") + "".join(pieces)
    whole.setdefault("type", next((_TYPES[name] for name in block.pieces if name in _TYPES), "text"))
    if block.citations:
        whole["citations"] = [*as_list(whole.get("citations")), *block.citations]
    return whole


_TYPES = {"input": "tool_use", "thinking": "thinking", "text": "text"}
"""What a block is whose beginning was lost."""
