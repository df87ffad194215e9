"""From the names and values that a client gives to a Filter; pure."""

from __future__ import annotations

import datetime
import decimal
import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any

from app.store.filters.errors import FilterError
from app.store.filters.facts import Fact, names_facts, read_fact
from app.store.filters.filter import Filter
from app.store.search.terms import parse_terms

OUTCOMES = (
    *("completed", "client_left", "upstream_failed", "upstream_timed_out"),
    *("refused", "proxy_failed", "proxy_stopped", "proxy_crashed"),
)
TAG = "tag."
LONGEST_VALUE = 1024
MOST_FACTS = 16
MOST_TAGS = 32

_RELATIVE = re.compile(r"(\d{1,9})(s|m|h|d|w)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?([Zz]|[+-]\d{2}:?\d{2})")
# A `+` that a client forgot to escape has become a space.
_UNESCAPED_ZONE = re.compile(r"(.{10}[Tt].*:\d{2}(?:\.\d+)?) (\d{2}:?\d{2})")
_CODES = re.compile(r"([1-9])xx|(\d{3})(?:-(\d{3}))?", re.IGNORECASE)
_COUNT = re.compile(r"\d{1,18}")
_DECIMAL = re.compile(r"\d{1,15}(\.\d{1,15})?")


def read_filter(pairs: Iterable[tuple[str, str]], now: datetime.datetime) -> Filter:
    """The filter that these names and values ask for; relative times count back from `now`. Raises FilterError, and
    TermsError for `q`."""
    values: dict[str, Any] = {}
    tags: list[tuple[str, str | None]] = []
    facts: list[Fact] = []
    for name, value in pairs:
        if names_facts(name):
            facts.append(_fact(name, value))
        elif name.startswith(TAG) and len(name) > len(TAG):
            _check_length(name, value)
            tags.append((name.removeprefix(TAG), value or None))
        elif name in _READERS:
            values[name] = _READERS[name](name, value, now)
        else:
            raise FilterError(name, _unknown(name), "")
    if len(facts) > MOST_FACTS or len(tags) > MOST_TAGS:
        raise FilterError("filters", f"at most {MOST_FACTS} facts and {MOST_TAGS} tags", "")
    return Filter(**values, tags=tuple(sorted(tags, key=str)), facts=tuple(facts))


def _fact(name: str, value: str) -> Fact:
    """An operator may stand in the name: `request.temperature>1` comes without a value, `…>=1` as a name that ends
    with the sign."""
    name = name.removesuffix("=")
    if value or name[-1] in "!<>~":
        # `request.x~a=b` was cut at its equals sign; `request.x~` and a value was not.
        text = f"{name}{value}" if name.endswith("~") else f"{name}={value}"
    else:
        text = name
    if len(text) > 2 * LONGEST_VALUE:
        raise FilterError(name[:100], f"a question has at most {2 * LONGEST_VALUE} characters", "")
    return read_fact(name, text)


def _text(param: str, value: str, _: datetime.datetime) -> str:
    _check_length(param, value)
    return value


def _check_length(param: str, value: str) -> None:
    if len(value) > LONGEST_VALUE:
        raise FilterError(param, f"takes at most {LONGEST_VALUE} characters", "")


def _words(param: str, value: str, _: datetime.datetime) -> str:
    parse_terms(value)
    return value


def _outcome(param: str, value: str, _: datetime.datetime) -> str:
    if value not in OUTCOMES:
        raise FilterError(param, f"expected one of {', '.join(OUTCOMES)}", value)
    return value


def _stream(param: str, value: str, _: datetime.datetime) -> bool:
    if value not in ("true", "false"):
        raise FilterError(param, "expected true or false", value)
    return value == "true"


def _status(param: str, value: str, _: datetime.datetime) -> int | tuple[int, ...]:
    """`404`, `4xx`, `400-409`, and lists of these with commas."""
    codes: set[int] = set()
    position = 0
    for part in value.split(","):
        codes.update(_codes(param, value, position, part))
        position += len(part) + 1
    return codes.pop() if len(codes) == 1 else tuple(sorted(codes))


def _codes(param: str, value: str, position: int, part: str) -> range:
    found = _CODES.fullmatch(part)
    if found is None:
        raise FilterError(
            param, "expected a status: 404, 4xx, 400-409, or several with commas", value, position
        )
    if found[1] is not None:
        first, last = int(found[1]) * 100, int(found[1]) * 100 + 99
    else:
        first = int(found[2])
        last = int(found[3] or first)
    if not 100 <= first <= last <= 599:
        raise FilterError(param, "expected statuses from 100 to 599, the lower one first", value, position)
    return range(first, last + 1)


def _time(param: str, value: str, now: datetime.datetime) -> datetime.datetime:
    """RFC 3339 with a zone, a day, or so long ago."""
    if relative := _RELATIVE.fullmatch(value):
        seconds = int(relative[1]) * _UNIT_SECONDS[relative[2]]
        try:
            return now - datetime.timedelta(seconds=seconds)
        except OverflowError:
            return datetime.datetime.min.replace(tzinfo=datetime.UTC)
    text = f"{value}T00:00:00Z" if _DAY.fullmatch(value) else value
    if mended := _UNESCAPED_ZONE.fullmatch(text):
        text = f"{mended[1]}+{mended[2]}"
    if _TIME.fullmatch(text):
        try:
            return datetime.datetime.fromisoformat(text.upper().replace(",", ".")).astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            pass
    raise FilterError(
        param,
        "expected a time with its zone (2026-11-22T10:00:00Z), a day (2026-11-22) or so long ago (30m, 2h, 7d)",
        value,
    )


def _milliseconds(param: str, value: str, _: datetime.datetime) -> float:
    if not _DECIMAL.fullmatch(value):
        raise FilterError(param, "expected milliseconds: 1500 or 0.5", value)
    return float(value)


def _count(param: str, value: str, _: datetime.datetime) -> int:
    if not _COUNT.fullmatch(value):
        raise FilterError(param, "expected a whole number", value)
    return int(value)


def _dollars(param: str, value: str, _: datetime.datetime) -> decimal.Decimal:
    if not _DECIMAL.fullmatch(value):
        raise FilterError(param, "expected US dollars: 0.25", value)
    return decimal.Decimal(value)


Reader = Callable[[str, str, datetime.datetime], Any]

_READERS: dict[str, Reader] = {
    **dict.fromkeys(("model", "path", "method", "user", "key", "project", "conversation"), _text),
    **dict.fromkeys(("upstream", "upstream_id", "finish_reason"), _text),
    **dict.fromkeys(("since", "until"), _time),
    **dict.fromkeys(
        [f"{edge}_{name}" for edge in ("min", "max") for name in ("duration_ms", "ttft_ms")], _milliseconds
    ),
    **dict.fromkeys(
        [f"{edge}_{name}" for edge in ("min", "max") for name in ("input_tokens", "output_tokens")], _count
    ),
    **dict.fromkeys(("min_cost", "max_cost"), _dollars),
    "status": _status,
    "outcome": _outcome,
    "stream": _stream,
    "q": _words,
}
NAMES = frozenset(_READERS)
"""Filters of one name; those that begin with `tag.`, `request.` and `response.` come beside."""


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, sorted(_READERS), 1)
    if near:
        return f"there is no such parameter; did you mean {near[0]}?"
    known = ", ".join(sorted(_READERS))
    return f"there is no such parameter; expected {known}, tag.NAME, request.PATH or response.PATH"
