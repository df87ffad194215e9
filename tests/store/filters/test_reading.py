"""Filters as clients write them: what they mean, and where they are wrong."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decode import facts as decoder
from app.store.filters import facts
from app.store.filters.errors import FilterError
from app.store.filters.reading import NAMES, read_filter
from app.store.search.terms import TermsError

NOW = datetime.datetime(2026, 11, 22, 10, tzinfo=datetime.UTC)


def time(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=datetime.UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("2026-11-18", time(2026, 11, 18)),
        ("2026-11-18T12:00:30Z", time(2026, 11, 18, 12, 0, 30)),
        ("2026-11-18T13:00:30+01:00", time(2026, 11, 18, 12, 0, 30)),
        ("2026-11-18T13:00:30 01:00", time(2026, 11, 18, 12, 0, 30)),
        ("2026-11-18t12:00:30.25z", time(2026, 11, 18, 12, 0, 30, 250_000)),
        ("2h", time(2026, 11, 22, 8)),
        ("30m", time(2026, 11, 22, 9, 30)),
        ("7d", time(2026, 11, 15, 10)),
        ("1w", time(2026, 11, 15, 10)),
        ("999999999w", time(1, 1, 1)),
    ],
)
def test_times_are_moments_days_or_so_long_ago(value: str, meant: datetime.datetime) -> None:
    assert read_filter([("since", value)], NOW).since == meant


@pytest.mark.parametrize(
    ("name", "value", "position", "words"),
    [
        ("status", "404,40x", 4, "expected a status"),
        ("status", "500-400", 0, "the lower one first"),
        ("status", "6xx", 0, "100 to 599"),
        ("outcome", "good", 0, "expected one of completed"),
        ("stream", "yes", 0, "true or false"),
        ("since", "yesterday", 0, "expected a time"),
        ("since", "2026-11-18T12:00:00", 0, "with its zone"),
        ("since", "2026-13-18", 0, "expected a time"),
        ("min_cost", "1e3", 0, "US dollars"),
        ("min_duration_ms", "-1", 0, "milliseconds"),
        ("max_input_tokens", "1.5", 0, "whole number"),
        ("modle", "gpt", 0, "did you mean model?"),
        ("tag.", "x", 0, "no such parameter"),
        ("request.", "1", 7, "expected a field"),
        ("request.a[x]", "1", 9, "expected .NAME"),
        ("request.a..b", "1", 9, "expected .NAME"),
        ("request.a?", "1", None, "no facts of that name"),
        ("request.a>", "", 11, "expected a value after >="),
        ("request.a b", "1", 9, "expected one of ="),
        ("request.messages[0]", "1", 8, "facts do not hold 'messages'"),
        ("response.usage.total_tokens>5", "", 9, "use min_input_tokens"),
        ("response.choices[0].id", "1", 20, "facts do not hold 'id'"),
        ("request.a", "x" * 300, 10, "256 characters"),
        ("model", "x" * 1025, 0, "at most 1024"),
    ],
)
def test_a_malformed_filter_is_told_with_its_place(
    name: str, value: str, position: int | None, words: str
) -> None:
    if position is None:  # a strange name is a name
        assert read_filter([(name, value)], NOW).facts
        return
    with pytest.raises(FilterError) as caught:
        read_filter([(name, value)], NOW)
    assert caught.value.param == name
    assert caught.value.position == position
    assert words in str(caught.value)


def test_too_many_questions_are_refused() -> None:
    with pytest.raises(FilterError):
        read_filter([(f"request.f{n}", "1") for n in range(17)], NOW)


@given(
    name=st.sampled_from([*sorted(NAMES), "tag.x", "request.a", "response.b[0].c>"]),
    value=st.text(max_size=50),
)
def test_whatever_is_asked_is_a_filter_or_an_error_of_it(name: str, value: str) -> None:
    try:
        found = read_filter([(name, value)], NOW)
    except (FilterError, TermsError):
        return
    found.can_match()
    found.conditions(1)


def test_what_facts_leave_out_is_what_the_decoder_leaves_out() -> None:
    assert facts.LEFT_OUT == decoder.SAID | decoder.BYTES
    assert facts.ONLY_IN_REQUESTS == decoder.IDS
    assert set(facts.IN_COLUMNS) == decoder.IN_COLUMNS
    assert facts.LONGEST_TEXT == decoder.STRING_CHARACTERS
