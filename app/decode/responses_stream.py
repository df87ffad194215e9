"""Events of a response, folded into the `response` object that a whole answer would be.

The terminal event has it all, but not with every upstream: its `output` may be empty or missing, or no terminal event
may come. So the items are built beside it, from `output_item.done`, else from deltas, and the fuller list counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.decode.envelope import read_error
from app.decode.events import Fold, JsonEvent, StreamEvents, event_type, stream_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_index, as_list, as_str
from app.decode.values import ErrorInfo

MAX_ITEMS = 4_096
MAX_PARTS = 4_096

TERMINAL = (
    "response.completed",
    "response.failed",
    "response.incomplete",
    "response.cancelled",
    "response.done",
)

DELTAS = {
    "response.output_text": ("message", "content", "output_text", "text"),
    "response.text": ("message", "content", "output_text", "text"),
    "response.refusal": ("message", "content", "refusal", "refusal"),
    "response.reasoning_text": ("reasoning", "content", "reasoning_text", "text"),
    "response.reasoning_summary_text": ("reasoning", "summary", "summary_text", "text"),
    "response.function_call_arguments": ("function_call", "arguments", "", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input", "", "input"),
    "response.mcp_call_arguments": ("mcp_call", "arguments", "", "arguments"),
}
"""Event without `.delta` or `.done`: kind of the item, its field, type of the part, name of the whole text."""


@dataclass(slots=True)
class _Part:
    kind: str
    name: str
    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Item:
    """One output item while it grows."""

    kind: str | None = None
    begun: dict[str, object] = field(default_factory=dict)
    done: dict[str, object] | None = None
    parts: dict[tuple[str, int, str], _Part] = field(default_factory=dict)


class _ResponseFold:
    """Events in, a response out."""

    def __init__(self) -> None:
        self.response: dict[str, object] = {}
        self.is_terminal = False
        self.error: object = None
        self.dropped = 0
        self._items: dict[int, _Item] = {}
        self._by_id: dict[str, int] = {}
        self._last = -1
        self._next = 0

    def add(self, event: JsonEvent) -> None:
        kind = event_type(event)
        response = as_dict(event.value.get("response"))
        if response:
            self.response.update(response)
        elif event.value.get("object") == "response":
            # A whole answer as the only event.
            self.response.update(event.value)
            self.is_terminal = True
        if kind in TERMINAL:
            self.is_terminal = True
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._add_item(event.value, is_done=kind.endswith("done"))
        elif kind.endswith((".delta", ".done")):
            self._add_text(kind, event.value)
        else:
            self.error = self.error or stream_error(event)

    def output(self) -> list[object]:
        """The terminal event's output, or what was streamed if that is more."""
        built: list[object] = []
        for key in sorted(self._items):
            item = _whole_item(self._items[key])
            if item:
                built.append(item)
        told = as_list(self.response.get("output"))
        return told if len(told) >= len(built) else built

    def _add_item(self, value: dict[str, object], is_done: bool) -> None:
        raw = as_dict(value.get("item"))
        item = self._item_at(value, as_str(raw.get("id")), is_begin=not is_done)
        if item is None or not raw:
            return
        item.kind = as_str(raw.get("type")) or item.kind
        if is_done:
            item.done = raw
        else:
            item.begun = raw

    def _add_text(self, kind: str, value: dict[str, object]) -> None:
        name, _, step = kind.rpartition(".")
        if name not in DELTAS:
            return
        item_kind, place, part_kind, text_name = DELTAS[name]
        text = value.get("delta" if step == "delta" else text_name)
        item = self._item_at(value, as_str(value.get("item_id")))
        if item is None or not isinstance(text, str):
            return
        item.kind = item.kind or item_kind
        number = as_index(value.get("content_index", value.get("summary_index"))) or 0
        key = (place, number, part_kind)
        if key not in item.parts:
            if len(item.parts) >= MAX_PARTS:
                self.dropped += 1
                return
            item.parts[key] = _Part(part_kind, text_name)
        part = item.parts[key]
        if step == "done":
            part.pieces = [text]
        else:
            part.pieces.append(text)

    def _item_at(self, value: dict[str, object], item_id: str | None, is_begin: bool = False) -> _Item | None:
        """The item an event is about: by `output_index`, else by its id, else the last one."""
        key = as_index(value.get("output_index"))
        if key is None and item_id is not None:
            key = self._by_id.get(item_id)
        if key is None:
            is_new = is_begin or item_id is not None or self._last < 0
            key = self._next if is_new else self._last
        if key not in self._items:
            if len(self._items) >= MAX_ITEMS:
                self.dropped += 1
                return None
            self._items[key] = _Item()
        if item_id is not None:
            self._by_id[item_id] = key
        self._last = key
        self._next = max(self._next, key + 1)
        return self._items[key]


def fold_responses(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """Events of a response to one `response`; without a terminal event it is not finished."""
    fold = _ResponseFold()
    for event in stream.events:
        fold.add(event)
    if fold.dropped:
        cleaner.flags.add("cut")
    error: ErrorInfo | None = read_error(fold.error, cleaner)
    value = {**fold.response, "output": fold.output()}
    is_ended = fold.is_terminal or stream.is_done
    return Fold(value=value, is_ended=is_ended, is_finished=is_ended or error is not None, error=error)


def _whole_item(item: _Item) -> dict[str, object]:
    if item.done is not None:
        return item.done
    whole = dict(item.begun)
    if item.kind:
        whole["type"] = item.kind
    lists: dict[str, list[object]] = {}
    for (place, _, _), part in sorted(item.parts.items(), key=lambda entry: entry[0]):
        text = "".join(part.pieces)
        if part.kind:
            lists.setdefault(place, []).append({"type": part.kind, part.name: text})
        else:
            whole[place] = text
    return {**whole, **lists}
