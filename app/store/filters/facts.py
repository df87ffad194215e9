"""Questions about what was set and told: `request.temperature>1`, `response.choices[0].finish_reason=length`; pure.

A question becomes a jsonpath predicate over `transcripts.facts`. Equality is served by the index; the rest is not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from app.store.filters.errors import FilterError

SIDES = ("request", "response")
LONGEST_TEXT = 256
"""Facts keep so many characters of a text."""
MOST_STEPS = 16

LEFT_OUT = frozenset(
    {
        *(
            "arguments",
            "content",
            "contents",
            "data",
            "documents",
            "embedding",
            "embeddings",
            "functions",
            "input",
        ),
        *(
            "instructions",
            "logprobs",
            "messages",
            "prediction",
            "prompt",
            "reasoning_content",
            "reasoning_details",
        ),
        *(
            "schema",
            "parameters",
            "refusal",
            "summary",
            "system",
            "tools",
            "top_logprobs",
            "transcript",
            "words",
        ),
        *("segments", "b64_json", "encrypted_content", "file_data", "result", "signature"),
    }
)
"""Fields of which facts hold nothing, at any depth (tests compare them with the decoder's)."""
ONLY_IN_REQUESTS = frozenset({"call_id", "id", "item_id", "encrypted_id"})
IN_COLUMNS = {
    "id": "upstream_id",
    "created": "since and until",
    "created_at": "since and until",
    "completed_at": "since and until",
    "usage": "min_input_tokens, max_output_tokens and the like",
}
"""Fields of an answer itself that stand elsewhere, and the filter for them."""

_STEP = re.compile(r"""\.(?:(?P<name>[^\s."\[\]<>=!~]+)|"(?P<quoted>[^"]*)")|\[(?P<index>\d{0,4}|\*)\]""")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?")
_OPERATOR = re.compile(r"\s*(?P<sign>!=|<=|>=|=|<|>|~)\s*|\s+(?P<exists>exists)\s*$")


@dataclass(frozen=True, slots=True)
class Fact:
    """A predicate in jsonpath, and whether it must hold or must not."""

    predicate: str
    must_hold: bool = True
    is_indexed: bool = False


def names_facts(param: str) -> bool:
    """Whether a parameter asks for facts."""
    return param.startswith(("request.", "response.", "request[", "response["))


def read_fact(param: str, text: str) -> Fact:
    """Reads `PATH`, `PATH exists`, `PATH=VALUE`, and the same with `!=`, `<`, `<=`, `>`, `>=`, `~` (contains).

    `PATH=` asks whether the field is there, `PATH!=` whether it is not. Raises FilterError.
    """
    path, position = _path(param, text)
    if position == len(text):
        return Fact(f"exists({path})")
    found = _OPERATOR.match(text, position)
    if found is None:
        raise FilterError(param, "expected one of = != < <= > >= ~ exists, or .NAME or [N]", text, position)
    value = text[found.end() :]
    if found["exists"] is not None or (found["sign"] == "=" and not value):
        return Fact(f"exists({path})")
    if found["sign"] == "!=" and not value:
        return Fact(f"exists({path})", must_hold=False)
    if not value:
        raise FilterError(param, f"expected a value after {found['sign']}", text, found.end())
    return _compared(param, text, path, found["sign"], value)


def metadata_fact(key: str, value: str) -> Fact | None:
    """Whether a request had this metadata, or its facts were cut; None where facts cannot tell."""
    if key in LEFT_OUT or len(key) > LONGEST_TEXT or len(value) > LONGEST_TEXT:
        return None
    predicate = f'$."request"."metadata".{_quoted(key)} == {_quoted(value)} || $."cut" == true'
    return Fact(predicate, is_indexed=True)


def _path(param: str, text: str) -> tuple[str, int]:
    """The path as jsonpath, and where it ends."""
    side = next(each for each in SIDES if text.startswith(each))
    steps, position = [f'$."{side}"'], len(side)
    while found := _STEP.match(text, position):
        if found["index"] is not None:
            steps.append(f"[{int(found['index'])}]" if found["index"].isdigit() else "[*]")
        else:
            name = found["quoted"] if found["name"] is None else found["name"]
            _check_kept(param, text, position + 1, side, name, is_first=len(steps) == 1)
            steps.append(f".{_quoted(name)}")
        if len(steps) > MOST_STEPS:
            raise FilterError(param, f"a path has at most {MOST_STEPS} steps", text, position)
        position = found.end()
    if len(steps) == 1:
        raise FilterError(param, f"expected a field: {side}.NAME", text, position)
    if position < len(text) and text[position] in '.["':
        raise FilterError(param, 'expected .NAME, ."any name", [N] or [*]', text, position)
    return "".join(steps), position


def _check_kept(param: str, text: str, position: int, side: str, name: str, *, is_first: bool) -> None:
    if side == "response" and is_first and name in IN_COLUMNS:
        raise FilterError(param, f"{name} is no fact of its own: use {IN_COLUMNS[name]}", text, position)
    if name in LEFT_OUT or (side == "response" and name in ONLY_IN_REQUESTS):
        message = (
            f"facts do not hold {name!r} (what was said is found by q; tools and ids are in the exchange)"
        )
        raise FilterError(param, message, text, position)


def _compared(param: str, text: str, path: str, sign: str, value: str) -> Fact:
    position = len(text) - len(value)
    if len(value) > LONGEST_TEXT:
        raise FilterError(param, f"facts keep {LONGEST_TEXT} characters of a text", text, position)
    quoted = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else None
    if sign == "~":
        return Fact(f'{path} like_regex {_quoted(quoted if quoted is not None else value)} flag "iq"')
    literals = [_quoted(value if quoted is None else quoted)]
    if quoted is None and (value in ("true", "false") or _NUMBER.fullmatch(value)):
        literals.insert(0, value)
    if sign in ("=", "!="):
        equal = " || ".join(f"{path} == {literal}" for literal in literals)
        if sign == "=":
            return Fact(equal, is_indexed=True)
        # A number is neither equal nor unequal to a text: that is unknown.
        return Fact(f"exists({path}) && (!({equal}) || ({equal}) is unknown)")
    return Fact(f"{path} {sign} {literals[0]}")


def _quoted(text: str) -> str:
    """A string of jsonpath: JSON's escapes hold there."""
    return json.dumps(text)
