"""JSON from strangers is read leniently, and what is kept fits PostgreSQL."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decode.jsonsafe import MAX_DEPTH, TextCleaner, read_glued, read_json


def read(data: bytes) -> tuple[object, set[str]]:
    flags: set[str] = set()
    return read_json(data, flags), flags


@pytest.mark.parametrize(
    ("data", "value", "flags"),
    [
        (b'{"a": 1}', {"a": 1}, set()),
        (b'\n\n\r\n {"a": 1} \n', {"a": 1}, set()),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}, set()),
        ('{"a": 1}'.encode("utf-16"), {"a": 1}, set()),
        (b'"\\ud83d\\ude00"', "😀", set()),
        (b'"\\ud83d"', "\ud83d", set()),
        (b'"\xff"', "�", {"utf8"}),
        (b"[1e400, -1e999999, NaN, Infinity]", [None, None, None, None], {"number"}),
        (b"1" * 5000, None, {"number"}),
        (b"12345678901234567890", 12345678901234567890, set()),
        (b"", None, set()),
        (b"{", None, set()),
        (b"{} x", None, set()),
        (b"null", None, set()),
        (b"[" * 200_000, None, set()),
        (b"[" * 200_000 + b"]" * 200_000, None, set()),
        (b'{"a":' * 100_000, None, set()),
    ],
)
def test_a_value_is_read_or_is_none(data: bytes, value: object, flags: set[str]) -> None:
    assert read(data) == (value, flags)


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b'{"a":1}\n{"b":2}', [{"a": 1}, {"b": 2}]),
        (b'{"a":1}data: {"b":2}', [{"a": 1}, {"b": 2}]),
        (b'{"a":1}\n[DONE]', [{"a": 1}]),
        (b'{"a":1}{"b"', []),
        (b"nonsense", []),
        (b"[" * 100_000, []),
    ],
)
def test_glued_values_come_apart(data: bytes, values: list[object]) -> None:
    assert read_glued(data, set()) == values


def test_text_loses_what_postgresql_does_not_take() -> None:
    cleaner = TextCleaner()
    assert cleaner.text("a\0b\ud800c\ud83d\ude00") == "a�b�c😀"
    assert cleaner.flags == {"nul", "surrogate"}


def test_a_character_whose_halves_came_apart_is_whole_again() -> None:
    cleaner = TextCleaner()
    assert cleaner.text("\ud83d" + "\ude00") == "😀"
    assert cleaner.flags == set()


def test_text_is_cut_to_length_before_it_is_cleaned() -> None:
    assert TextCleaner().text("😀x" * 10, 3) == "😀x😀"
    assert TextCleaner().label("a" * 1000) == "a" * 256
    values: list[object] = [True, None, "", [], 1.5, 400]
    assert [TextCleaner().label(value) for value in values] == [None] * 5 + ["400"]


def test_deep_values_are_cut_off() -> None:
    value: object = "x"
    for _ in range(500):
        value = [value]
    cleaner = TextCleaner()
    assert cleaner.dumps(value) == "[" * MAX_DEPTH + "null" + "]" * MAX_DEPTH
    assert cleaner.flags == {"depth"}


def test_a_value_of_endless_items_is_cut_off() -> None:
    cleaner = TextCleaner()
    cleaner.json([0] * 300_000)
    assert cleaner.flags == {"cut"}


def safe(value: object) -> bool:
    text = json.dumps(value, ensure_ascii=False)
    return (
        "\\u0000" not in text
        and text.encode() != b""
        and not (isinstance(value, float) and math.isnan(value))
    )


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.floats()
        | st.integers()
        | st.text(st.characters(codec=None), max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    )
)
def test_any_value_is_made_fit_for_jsonb(value: object) -> None:
    text = TextCleaner().dumps(value)
    assert safe(json.loads(text, parse_constant=lambda name: pytest.fail(name)))


def test_a_value_of_millions_of_objects_is_not_read() -> None:
    flags: set[str] = set()
    assert read_json(b"[" + b"{}," * 1_000_000 + b"{}]", flags) is None
    assert flags == {"too_rich"}
    assert read_json(b'["' + b"{}," * 100_000 + b'"]', flags) is not None
