"""Facts: what is left of a request and its answer when all that was said, and all that is long, is taken out.

`{"request": {…}, "response": {…}}`, a stream folded to the answer that it amounts to. For questions such as
`request.temperature`; what has a column of its own (id, usage, times of the answer) is not here again, nor is null. At
most FACTS_BYTES: the largest fields go first, and `cut` says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from app.decode.jsonsafe import TextCleaner, compact_json

_json = msgspec.json.Encoder()
FACTS_BYTES = 8_192
STRING_CHARACTERS = 256
LONGEST_LIST = 16
MOST_VALUES = 2_000
MAX_DEPTH = 12

SAID = frozenset(
    {
        "arguments",
        "content",
        "contents",
        "data",
        "documents",
        "embedding",
        "embeddings",
        "functions",
        "input",
        "instructions",
        "logprobs",
        "messages",
        "prediction",
        "prompt",
        "reasoning_content",
        "reasoning_details",
        "schema",
        "parameters",
        "refusal",
        "summary",
        "system",
        "tools",
        "top_logprobs",
        "transcript",
        "words",
        "segments",
    }
)
"""Fields that are left out at any depth."""
SAID_AS_TEXT = frozenset({"text", "reasoning", "output", "thinking", "delta"})
"""Fields that are left out where they hold text; `text` and `reasoning` are settings, too."""
BYTES = frozenset({"b64_json", "encrypted_content", "file_data", "result", "signature"})
"""Fields that are left out where they hold text: base64, or sealed."""
IDS = frozenset({"call_id", "id", "item_id", "encrypted_id"})
"""Fields of an answer's parts that are new each time: an index of them would be larger than all the rest."""
_SAID_IN_ANSWERS = SAID | IDS
IN_COLUMNS = frozenset({"created", "created_at", "completed_at", "id", "usage"})
"""Fields of an answer itself that stand elsewhere in the record."""


def read_facts(asked: dict[str, object], told: dict[str, object], cleaner: TextCleaner) -> str | None:
    """The facts as JSON text that jsonb takes; None where there are none."""
    facts: dict[str, object] = {}
    if kept := _Copy(cleaner, SAID).fields(asked):
        facts["request"] = kept
    answered = {name: value for name, value in told.items() if name not in IN_COLUMNS}
    if kept := _Copy(cleaner, _SAID_IN_ANSWERS).fields(answered):
        facts["response"] = kept
    if not facts:
        return None
    text = _dump(facts)
    return text if len(text) <= FACTS_BYTES // 4 or _size(text) <= FACTS_BYTES else _cut(facts)


class _Copy:
    """Makes a copy of a body without these fields, and without those that tell nothing."""

    __slots__ = ("_budget", "_cleaner", "_left_out")

    def __init__(self, cleaner: TextCleaner, left_out: frozenset[str]) -> None:
        self._cleaner = cleaner
        self._left_out = left_out
        self._budget = MOST_VALUES

    def fields(self, fields: dict[str, object], depth: int = 0) -> dict[str, object]:
        """The fields of an object; none where the budget is spent."""
        kept: dict[str, object] = {}
        for name, value in fields.items():
            if value is None or name in self._left_out:
                continue
            if type(value) is str and (name in SAID_AS_TEXT or name in BYTES):
                continue
            self._budget -= 1
            if self._budget < 0:
                break
            kept[self._text(name)] = self._value(value, depth)
        return kept

    def _value(self, value: object, depth: int) -> object:
        kind = type(value)
        if kind is int or kind is bool:
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict | list):
            if depth >= MAX_DEPTH:
                return None
            if isinstance(value, dict):
                return self.fields(value, depth + 1)
            self._budget -= len(value[:LONGEST_LIST])
            return [self._value(each, depth + 1) for each in value[:LONGEST_LIST]] if self._budget > 0 else []
        return self._cleaner.json(value)

    def _text(self, text: str) -> str:
        if len(text) <= STRING_CHARACTERS and text.isascii() and "\0" not in text:
            return text
        return self._cleaner.text(text, STRING_CHARACTERS)


def _dump(facts: dict[str, object]) -> str:
    try:
        return _json.encode(facts).decode()
    except (msgspec.MsgspecError, OverflowError, ValueError, RecursionError):
        # Integers beyond 64 bits.
        return compact_json(facts)


def _cut(facts: dict[str, object]) -> str | None:
    """Without the largest fields, until the rest is short enough."""
    sizes = sorted(_sizes(facts), reverse=True)
    left = sum(size for size, _, _ in sizes) + 256
    for size, half, name in sizes:
        if left <= FACTS_BYTES:
            break
        fields = facts[half]
        if isinstance(fields, dict):
            del fields[name]
        left -= size
    facts["cut"] = True
    return compact_json(facts)


def _sizes(facts: dict[str, object]) -> Iterator[tuple[int, str, str]]:
    for half, fields in facts.items():
        if isinstance(fields, dict):
            for name, value in fields.items():
                yield _size(compact_json(value)) + _size(compact_json(name)) + 2, half, name


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
