"""Output items of a response while they stream: begun, filled by deltas, done.

An event says which item it is about by `output_index` and `item_id`, and not every upstream has both right: some send
one index for all items, some another id in each event, some neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.decode.jsonsafe import as_dict, as_index, as_list, as_str

MAX_ITEMS = 4_096
MAX_PARTS = 4_096


@dataclass(frozen=True, slots=True)
class DeltaKind:
    """What one family of events (`NAME.delta`, `NAME.done`) fills."""

    item: str
    """Type of the item."""
    place: str
    """Field of the item: a list of parts, or the text itself where there is no `part`."""
    part: str
    """Type of the part."""
    whole: str
    """Field of the `.done` event, and of the part, that has the whole text."""


DELTAS = {
    "response.output_text": DeltaKind("message", "content", "output_text", "text"),
    "response.text": DeltaKind("message", "content", "output_text", "text"),
    "response.refusal": DeltaKind("message", "content", "refusal", "refusal"),
    "response.audio.transcript": DeltaKind("message", "content", "output_audio", "transcript"),
    "response.audio_transcript": DeltaKind("message", "content", "output_audio", "transcript"),
    "response.output_audio_transcript": DeltaKind("message", "content", "output_audio", "transcript"),
    "response.reasoning_text": DeltaKind("reasoning", "content", "reasoning_text", "text"),
    "response.reasoning": DeltaKind("reasoning", "content", "reasoning_text", "text"),
    "response.reasoning_summary_text": DeltaKind("reasoning", "summary", "summary_text", "text"),
    "response.reasoning_summary": DeltaKind("reasoning", "summary", "summary_text", "text"),
    "response.function_call_arguments": DeltaKind("function_call", "arguments", "", "arguments"),
    "response.custom_tool_call_input": DeltaKind("custom_tool_call", "input", "", "input"),
    "response.mcp_call_arguments": DeltaKind("mcp_call", "arguments", "", "arguments"),
    "response.mcp_call.arguments": DeltaKind("mcp_call", "arguments", "", "arguments"),
    "response.code_interpreter_call_code": DeltaKind("code_interpreter_call", "code", "", "code"),
    "response.code_interpreter_call.code": DeltaKind("code_interpreter_call", "code", "", "code"),
    "response.shell_call_command": DeltaKind("shell_call", "commands", "command", "command"),
}
"""By the event's type without `.delta`, `.done` or `.added`."""
PARTS = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}
"""Events that have a whole part, and the field it stands in."""
_NUMBERS = ("content_index", "summary_index", "command_index")


@dataclass(slots=True)
class _Part:
    kind: str
    name: str
    pieces: list[str] = field(default_factory=list)
    whole: dict[str, object] | None = None
    annotations: list[object] = field(default_factory=list)


@dataclass(slots=True)
class _Item:
    """One output item while it grows."""

    index: int
    kind: str | None = None
    begun: dict[str, object] = field(default_factory=dict)
    done: dict[str, object] | None = None
    parts: dict[tuple[str, int, str], _Part] = field(default_factory=dict)


class ItemFold:
    """Events about items in, whole items out."""

    __slots__ = ("_by_id", "_by_index", "_items", "_last", "_next", "dropped")

    def __init__(self) -> None:
        self.dropped = 0
        """Events about items or parts beyond the bounds."""
        self._items: list[_Item] = []
        self._by_id: dict[str, _Item] = {}
        self._by_index: dict[int, _Item] = {}
        self._last: _Item | None = None
        self._next = 0

    def __repr__(self) -> str:
        return f"<ItemFold items={len(self._items)} dropped={self.dropped}>"

    def add_item(self, value: dict[str, object], is_done: bool) -> None:
        """`response.output_item.added` or `.done`."""
        raw = as_dict(value.get("item"))
        item = self._item_at(value, as_str(raw.get("id")), is_begin=not is_done)
        if item is None or not raw:
            return
        item.kind = as_str(raw.get("type")) or item.kind
        if is_done:
            item.done = raw
        else:
            item.begun = raw

    def add_text(self, kind: str, value: dict[str, object]) -> None:
        """Any other event: a piece of text, a whole text, a part, a citation, or nothing that is kept."""
        name, _, step = kind.rpartition(".")
        delta = DELTAS.get(name)
        if delta is not None:
            self._add_piece(delta, step, value)
        elif name in PARTS and step == "done":
            self._add_part(PARTS[name], value)
        elif kind == "response.output_text.annotation.added":
            self._add_annotation(value)

    def items(self) -> list[object]:
        """The items as a whole answer would have had them."""
        ordered = sorted(self._items, key=lambda item: item.index)
        return [whole for item in ordered if (whole := _whole_item(item))]

    def _add_piece(self, delta: DeltaKind, step: str, value: dict[str, object]) -> None:
        text = value.get("delta" if step == "delta" else delta.whole)
        if not isinstance(text, str):
            return
        part = self._part_at(delta.item, delta.place, delta.part, delta.whole, value)
        if part is None:
            return
        if step == "delta":
            part.pieces.append(text)
        elif text or not part.pieces:
            part.pieces = [text]

    def _add_part(self, place: str, value: dict[str, object]) -> None:
        whole = as_dict(value.get("part"))
        kind = as_str(whole.get("type"))
        if kind:
            part = self._part_at("message" if place == "content" else "reasoning", place, kind, "text", value)
            if part is not None:
                part.whole = whole

    def _add_annotation(self, value: dict[str, object]) -> None:
        part = self._part_at("message", "content", "output_text", "text", value)
        if part is not None and value.get("annotation"):
            part.annotations.append(value["annotation"])

    def _part_at(
        self, item_kind: str, place: str, kind: str, name: str, value: dict[str, object]
    ) -> _Part | None:
        item = self._item_at(value, as_str(value.get("item_id")))
        if item is None:
            return None
        item.kind = item.kind or item_kind
        number = next((found for each in _NUMBERS if (found := as_index(value.get(each))) is not None), 0)
        key = (place, number, kind)
        part = item.parts.get(key)
        if part is None:
            if len(item.parts) >= MAX_PARTS:
                self.dropped += 1
                return None
            part = item.parts[key] = _Part(kind, name)
        return part

    def _item_at(self, value: dict[str, object], item_id: str | None, is_begin: bool = False) -> _Item | None:
        index = as_index(value.get("output_index"))
        item = self._known_item(index, item_id or None, is_begin)
        if item is None:
            if len(self._items) >= MAX_ITEMS:
                self.dropped += 1
                return None
            item = _Item(self._next if index is None else index)
            self._items.append(item)
        if item_id:
            self._by_id[item_id] = item
        self._by_index[item.index] = item
        self._last = item
        self._next = max(self._next, item.index + 1)
        return item

    def _known_item(self, index: int | None, item_id: str | None, is_begin: bool) -> _Item | None:
        """The item an event goes on with; None where it begins another."""
        by_id = self._by_id.get(item_id) if item_id is not None else None
        if by_id is not None and index in (None, by_id.index):
            return by_id
        if index is None:
            return None if is_begin or item_id is not None else self._last
        known = self._by_index.get(index)
        is_other = known is not None and item_id is not None and known.begun.get("id", item_id) != item_id
        return None if is_begin and is_other else known


def _whole_item(item: _Item) -> dict[str, object]:
    if item.done is None:
        return _built_item(item)
    return _fuller_item(item.done, _built_item(item)) if item.parts else item.done


def _built_item(item: _Item) -> dict[str, object]:
    whole = dict(item.begun)
    if item.kind:
        whole["type"] = item.kind
    lists: dict[str, list[object]] = {}
    for (place, _, _), part in sorted(item.parts.items(), key=lambda entry: entry[0]):
        if part.kind:
            lists.setdefault(place, []).append(_whole_part(part))
        else:
            whole[place] = "".join(part.pieces)
    commands = [as_str(as_dict(each).get("command")) or "" for each in lists.pop("commands", [])]
    if commands:
        whole["action"] = {**as_dict(whole.get("action")), "commands": commands}
    return {**whole, **lists}


def _whole_part(part: _Part) -> dict[str, object]:
    if part.whole is not None:
        return part.whole
    whole: dict[str, object] = {"type": part.kind, part.name: "".join(part.pieces)}
    if part.annotations:
        whole["annotations"] = part.annotations
    return whole


def fuller(told: list[object], built: list[object]) -> list[object]:
    """What the last event told of the items, or what was streamed where that is more."""
    if len(told) < len(built):
        return built
    if len(told) > len(built):
        return told
    return [_fuller_item(as_dict(one), as_dict(other)) for one, other in zip(told, built, strict=True)]


def _fuller_item(told: dict[str, object], built: dict[str, object]) -> dict[str, object]:
    """The told item, with what it leaves empty from the streamed one, if both are of one kind."""
    if told.get("type") != built.get("type"):
        return told
    gaps = {
        name: built[name]
        for name in ("content", "summary", "arguments", "input", "action", "code", "name")
        if not told.get(name) and built.get(name)
    }
    texts = as_list(told.get("content"))
    if texts and built.get("content") and not any(_has_words(part) for part in texts):
        gaps["content"] = built["content"]
    return {**told, **gaps} if gaps else told


def _has_words(part: object) -> bool:
    fields = as_dict(part)
    return not fields or any(value for name, value in fields.items() if name not in ("type", "annotations"))
