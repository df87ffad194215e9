"""Tool calls put together from the deltas of a stream, whichever way the upstream numbers them.

Seen: one index for all parallel calls (Ollama), no index (Gemini, Mistral), gaps and shifts (Nebius, Cerebras), the
name again in every chunk (Kimi), a new id in every chunk (old vLLM), a whole call in one chunk, arguments as an object.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from app.decode.jsonsafe import as_dict, as_index, as_str, compact_json

MAX_TOOL_CALLS = 4_096
MAX_PIECES_OF_WHOLE = 2


@dataclass(slots=True)
class _Slot:
    id: str | None = None
    kind: str = "function"
    name: str | None = None
    pieces: list[str] = field(default_factory=list)


class ToolCallFold:
    """Deltas of tool calls in, whole calls out."""

    __slots__ = ("_by_id", "_by_index", "_last", "_slots", "dropped")

    def __init__(self) -> None:
        self.dropped = 0
        """Deltas of calls beyond MAX_TOOL_CALLS."""
        self._slots: list[_Slot] = []
        self._by_id: dict[str, _Slot] = {}
        self._by_index: dict[int, _Slot] = {}
        self._last: _Slot | None = None

    def __repr__(self) -> str:
        return f"<ToolCallFold calls={len(self._slots)}>"

    def add(self, delta: object) -> None:
        """Take one item of `delta.tool_calls`."""
        fields = as_dict(delta)
        kind = as_str(fields.get("type")) or ("custom" if "custom" in fields else "function")
        detail = as_dict(fields.get(kind)) or as_dict(fields.get("function"))
        call_id = as_str(fields.get("id")) or None
        name = as_str(detail.get("name")) or None
        piece = detail.get("input" if kind == "custom" else "arguments")
        slot = self._slot_for(as_index(fields.get("index")), call_id, name, piece)
        if slot is None:
            self.dropped += 1
            return
        if slot.name is None:
            slot.name = name
        if kind == "custom":
            slot.kind = kind
        if isinstance(piece, str):
            slot.pieces.append(piece)
        elif isinstance(piece, dict | list):
            slot.pieces.append(compact(piece))

    def calls(self) -> list[object]:
        """The calls as a whole answer would have had them, in the order in which they began."""
        return [_whole_call(slot) for slot in self._slots]

    def _slot_for(
        self, index: int | None, call_id: str | None, name: str | None, piece: object
    ) -> _Slot | None:
        known = self._by_id.get(call_id) if call_id is not None else None
        opened = None if known else self._open_slot(index, call_id, name)
        if opened is not None and call_id is None and name is not None and _is_whole(opened, piece):
            opened = None
        slot = known or opened or self._new_slot()
        if slot is None:
            return None
        if call_id is not None:
            self._by_id[call_id] = slot
            slot.id = slot.id or call_id
        if index is not None:
            self._by_index[index] = slot
        self._last = slot
        return slot

    def _open_slot(self, index: int | None, call_id: str | None, name: str | None) -> _Slot | None:
        """The call that a delta goes on with; None where it begins another."""
        is_nameless = call_id is None and name is None
        if index is not None:
            # Nebius sends the last piece of a call's arguments under the next index.
            slot = self._by_index.get(index) or (self._last if is_nameless else None)
        else:
            slot = None if call_id is not None and name is not None else self._last
        if slot is None:
            return None
        is_other_id = call_id is not None and slot.id is not None and name is not None
        is_other_name = name is not None and slot.name is not None and name != slot.name
        return None if is_other_id or is_other_name else slot

    def _new_slot(self) -> _Slot | None:
        if len(self._slots) >= MAX_TOOL_CALLS:
            return None
        self._slots.append(_Slot())
        return self._slots[-1]


def _is_whole(slot: _Slot, piece: object) -> bool:
    """Whether a call came whole in its first chunks (Ollama's, without ids), so that its name again, and arguments that
    begin, are another call."""
    begins = isinstance(piece, dict) or (as_str(piece) or "").startswith("{")
    if not begins or not 0 < len(slot.pieces) <= MAX_PIECES_OF_WHOLE:
        return False
    text = "".join(slot.pieces)
    try:
        return text.endswith("}") and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def compact(value: object) -> str:
    """Arguments that came as an object, as the JSON text that they should have been."""
    try:
        return compact_json(value)
    except (RecursionError, ValueError):
        return ""


def _whole_call(slot: _Slot) -> object:
    text = "".join(slot.pieces) if slot.pieces else None
    detail = (
        {"name": slot.name, "input": text}
        if slot.kind == "custom"
        else {"name": slot.name, "arguments": text}
    )
    return {"id": slot.id, "type": slot.kind, slot.kind: detail}
