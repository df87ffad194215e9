"""JSON from strangers: read whatever can be read, and make what is kept safe for PostgreSQL text and jsonb.

jsonb takes no NUL, no lone surrogate, no number beyond `numeric`, no NaN; one such value aborts a whole batch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import msgspec

MAX_DEPTH = 90
MAX_NODES = 200_000
MAX_RICHNESS = 4_000_000
RICH_FROM_BYTES = 1 << 20
MAX_DIGITS = 4_000
"""Longest integer: Python refuses to read or write more than 4,300 digits."""
MAX_PLAIN_BYTES = 4_096
ID_CHARACTERS = 256
compact_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""A JSON value as text without spaces; made once, since making an encoder takes longer than most values."""


class TextCleaner:
    """Makes text and JSON values safe for PostgreSQL, and remembers in `flags` what it had to change."""

    __slots__ = ("_nodes_left", "flags")

    def __init__(self) -> None:
        self.flags: set[str] = set()
        self._nodes_left = MAX_NODES

    def text(self, value: str, longest: int | None = None) -> str:
        """The text with NUL and lone surrogates replaced by U+FFFD, cut to `longest` characters.

        Halves of a surrogate pair that came in two pieces and were joined become the character they are.
        """
        if longest is not None and len(value) > longest:
            value = value[:longest]
        if value.isascii() and "\0" not in value:
            return value
        if "\0" in value:
            self.flags.add("nul")
            value = value.replace("\0", "�")
        if value.isascii() or _is_encodable(value):
            return value
        clean = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if clean.count("�") > value.count("�"):
            self.flags.add("surrogate")
        return clean

    def label(self, value: object, longest: int = ID_CHARACTERS) -> str | None:
        """A short text such as an id or a model; None where the value is no text, or an empty one."""
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
            value = str(value)
        if not isinstance(value, str) or not value:
            return None
        return self.text(value, longest)

    def json(self, value: object, longest: int | None = None, depth: int = 0) -> object:
        """A copy of a JSON value that jsonb takes; strings longer than `longest` are cut and end in `…`."""
        self._nodes_left -= 1
        if self._nodes_left < 0:
            self.flags.add("cut")
            return None
        if isinstance(value, str):
            return self._json_text(value, longest)
        if isinstance(value, dict | list):
            if depth >= MAX_DEPTH:
                self.flags.add("depth")
                return None
            if isinstance(value, list):
                return [self.json(item, longest, depth + 1) for item in value]
            return {self.text(str(key)): self.json(item, longest, depth + 1) for key, item in value.items()}
        if isinstance(value, float) and not math.isfinite(value):
            self.flags.add("number")
            return None
        return value

    def dumps(self, value: object, longest: int | None = None) -> str:
        """A JSON value as compact JSON text that jsonb takes, keys in their order."""
        plain = _plain_dumps(value, longest)
        if plain is not None:
            return plain
        return compact_json(self.json(value, longest))

    def _json_text(self, value: str, longest: int | None) -> str:
        if longest is not None and len(value) > longest:
            return self.text(value, longest) + "…"
        return self.text(value)


def read_json(data: bytes, flags: set[str]) -> object:
    """The JSON value in `data`, or None where it is `null` or cannot be read; adds to `flags` what was bent."""
    if is_too_rich(data):
        flags.add("too_rich")
        return None
    try:
        value: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _read_leniently(data, flags)
    return value


def is_too_rich(data: bytes) -> bool:
    """Whether reading it could take hundreds of megabytes: 16 MiB of `{},` are five million objects."""
    if len(data) < RICH_FROM_BYTES:
        return False
    # An object with a value takes some 200 bytes, a list 60, a number 30.
    return data.count(b"{") * 8 + data.count(b"[") * 2 + data.count(b",") > MAX_RICHNESS


def read_glued(data: bytes, flags: set[str]) -> list[object]:
    """The JSON values of an event in which several were glued together; empty where that is not what it is.

    Upstreams that forget the blank line make `{…}\\n{…}`, and some even `{…}data: {…}`.
    """
    text = data.decode("utf-8", "replace")
    decoder = json.JSONDecoder(
        parse_int=_integer(flags), parse_float=_real(flags), parse_constant=_constant(flags)
    )
    values: list[object] = []
    position = 0
    while (position := _skip_between(text, position)) < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return []
        values.append(value)
    if len(values) > 1:
        flags.add("glued")
    return values


def as_dict(value: object) -> dict[str, object]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def as_str(value: object) -> str | None:
    """The value if it is a JSON string, else None."""
    return value if isinstance(value, str) else None


def as_index(value: object) -> int | None:
    """The value if it is an integer that can number things, else None."""
    is_index = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31
    return value if is_index and isinstance(value, int) else None


def _is_encodable(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _read_leniently(data: bytes, flags: set[str]) -> object:
    """With the standard library, which takes lone surrogates and endless numbers, and damaged UTF-8 replaced."""
    text = _decode_text(data, flags)
    try:
        value: object = json.loads(
            text, parse_int=_integer(flags), parse_float=_real(flags), parse_constant=_constant(flags)
        )
    except (ValueError, RecursionError):
        return None
    return value


def _plain_dumps(value: object, longest: int | None) -> str | None:
    """The same, eight times as fast, of a small value in which nothing has to be bent; None of all others."""
    try:
        data = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    is_small = len(data) <= min(longest or MAX_PLAIN_BYTES, MAX_PLAIN_BYTES)
    is_bent = b"\\u0000" in data or b"null" in data or data.count(b"[") + data.count(b"{") >= MAX_DEPTH
    return data.decode() if is_small and not is_bent else None


def _decode_text(data: bytes, flags: set[str]) -> str:
    try:
        return data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        flags.add("utf8")
        return data.decode("utf-8", "replace").removeprefix("\ufeff")


def _skip_between(text: str, position: int) -> int:
    """Past what may stand between glued values: white space, `data:`, `[DONE]`."""
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text.startswith("data:", position):
            position += len("data:")
        elif text.startswith("[DONE]", position):
            position += len("[DONE]")
        else:
            break
    return position


def _integer(flags: set[str]) -> Callable[[str], int | None]:
    def parse(digits: str) -> int | None:
        if len(digits) > MAX_DIGITS:
            flags.add("number")
            return None
        return int(digits)

    return parse


def _real(flags: set[str]) -> Callable[[str], float | None]:
    def parse(digits: str) -> float | None:
        value = float(digits)
        if math.isfinite(value):
            return value
        flags.add("number")
        return None

    return parse


def _constant(flags: set[str]) -> Callable[[str], None]:
    def parse(_name: str) -> None:
        flags.add("number")

    return parse
