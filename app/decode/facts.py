"""Facts: what is left of a request and its answer when all that was said, and all that is long, is taken out.

`{"request": {…}, "response": {…}}`, a stream folded to the answer that it amounts to. For questions such as
`request.temperature`; what has a column of its own (id, usage, times of the answer) is not here again, nor is null. At
most FACTS_BYTES: the largest fields go first, and `cut` says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.decode.jsonsafe import TextCleaner, compact_json

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
IN_COLUMNS = frozenset({"created", "created_at", "completed_at", "id", "usage"})
"""Fields of an answer itself that stand elsewhere in the record."""


def read_facts(asked: dict[str, object], told: dict[str, object], cleaner: TextCleaner) -> str | None:
    """The facts as JSON text that jsonb takes; None where there are none."""
    told = {name: value for name, value in told.items() if name not in IN_COLUMNS}
    facts: dict[str, object] = {}
    for name, body, left_out in (("request", asked, SAID), ("response", told, SAID | IDS)):
        if body and (kept := _kept(body, cleaner, left_out, [MOST_VALUES], 0)):
            facts[name] = kept
    if not facts:
        return None
    text = compact_json(facts)
    return text if len(text) <= FACTS_BYTES // 4 or _size(text) <= FACTS_BYTES else _cut(facts)


def _kept(
    value: object, cleaner: TextCleaner, left_out: frozenset[str], budget: list[int], depth: int
) -> object:
    """A copy without these fields, and without those that tell nothing; None where the budget is spent."""
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_DEPTH:
        return None
    if isinstance(value, str):
        return cleaner.text(value, STRING_CHARACTERS)
    if isinstance(value, dict):
        return {
            cleaner.text(str(name), STRING_CHARACTERS): _kept(each, cleaner, left_out, budget, depth + 1)
            for name, each in value.items()
            if each is not None and name not in left_out and not _is_said(name, each) and budget[0] > 0
        }
    if isinstance(value, list):
        return [
            _kept(each, cleaner, left_out, budget, depth + 1)
            for each in value[:LONGEST_LIST]
            if budget[0] > 0
        ]
    return cleaner.json(value)


def _is_said(name: object, value: object) -> bool:
    return isinstance(value, str) and (name in SAID_AS_TEXT or name in BYTES)


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
