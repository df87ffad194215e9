"""Usage is read in every spelling, and is never invented."""

from __future__ import annotations

import json

import pytest

from app.decode.jsonsafe import TextCleaner
from app.decode.usage import Usage, read_usage

CHAT = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
    "cost": 0.00012,
}
RESPONSES = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 27,
}
DEEPSEEK = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8, "total_tokens": 10}


def counts(usage: Usage) -> tuple[int | None, ...]:
    return (
        usage.input_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.total_tokens,
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (CHAT, (20, 5, 2, 7, 3, 27)),
        (RESPONSES, (20, 0, None, 7, 0, 27)),
        (DEEPSEEK, (9, 8, None, 1, None, 10)),
        ({"prompt_tokens": 4, "total_tokens": 4}, (4, None, None, None, None, 4)),
    ],
)
def test_each_spelling_is_read(given: dict[str, object], expected: tuple[int | None, ...]) -> None:
    usage = read_usage(given, TextCleaner())
    assert counts(usage) == expected
    assert usage.source == "reported"
    assert json.loads(usage.verbatim or "") == given


@pytest.mark.parametrize("given", [None, {}, [], "12", 12, True])
def test_what_is_no_usage_is_absent(given: object) -> None:
    assert read_usage(given, TextCleaner()) == Usage()


@pytest.mark.parametrize("count", [-1, 10**13, 2**63, 10**400, 1.5, "12", True, None, [], 1e308])
def test_a_count_that_cannot_be_true_is_unknown(count: object) -> None:
    usage = read_usage({"prompt_tokens": count, "total_tokens": 3.0}, TextCleaner())
    assert (usage.input_tokens, usage.total_tokens) == (None, 3)
