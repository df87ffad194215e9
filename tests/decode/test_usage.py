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


ANTHROPIC = {
    "input_tokens": 10,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
    "output_tokens": 7,
    "service_tier": "standard",
}
XAI = {
    "prompt_tokens": 32,
    "completion_tokens": 9,
    "total_tokens": 135,
    "completion_tokens_details": {"reasoning_tokens": 94},
}
PERPLEXITY = {
    "prompt_tokens": 33,
    "completion_tokens": 7163,
    "total_tokens": 7196,
    "citation_tokens": 20016,
    "num_search_queries": 18,
    "reasoning_tokens": 73997,
}
REALTIME = {
    "total_tokens": 400,
    "input_tokens": 300,
    "output_tokens": 100,
    "input_token_details": {
        "text_tokens": 100,
        "audio_tokens": 150,
        "image_tokens": 50,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 25, "audio_tokens": 32, "image_tokens": 7},
    },
    "output_token_details": {"text_tokens": 20, "audio_tokens": 80},
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (ANTHROPIC, (240, 200, 30, 7, None, 247)),
        (XAI, (32, None, None, 103, 94, 135)),
        (PERPLEXITY, (33, None, None, 101_176, 73_997, 7196)),
        (REALTIME, (300, 64, None, 100, None, 400)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 8}, (9, 8, None, 1, None, 10)),
        ({"input_tokens": 9, "output_tokens": 1}, (9, None, None, 1, None, 10)),
        ({"type": "duration", "seconds": 3}, (None, None, None, None, None, None)),
    ],
)
def test_input_and_output_are_all_of_them_whatever_the_providers_habit(
    given: dict[str, object], expected: tuple[int | None, ...]
) -> None:
    assert counts(read_usage(given, TextCleaner())) == expected


def test_audio_and_images_are_told_apart() -> None:
    usage = read_usage(REALTIME, TextCleaner())
    assert (usage.input_audio_tokens, usage.output_audio_tokens) == (150, 80)
    assert (usage.input_image_tokens, usage.output_image_tokens) == (50, None)
    assert (usage.detail.cached_audio_tokens, usage.detail.cached_image_tokens) == (32, 7)


def test_what_only_prices_need_is_read_beside_the_columns() -> None:
    detail = read_usage(ANTHROPIC, TextCleaner()).detail
    assert (detail.cache_write_1h_tokens, detail.service_tier) == (10, "standard")
    detail = read_usage(PERPLEXITY, TextCleaner()).detail
    assert (detail.citation_tokens, detail.web_searches) == (20_016, 18)
    thought = {"prompt_tokens": 8, "completion_tokens": 12, "total_tokens": 520}
    assert read_usage(thought, TextCleaner()).detail.unnamed_tokens == 500
    assert read_usage({"type": "duration", "seconds": 2.5}, TextCleaner()).detail.audio_seconds == 2.5


@pytest.mark.parametrize("seconds", [-1, 1e300, float("inf"), float("nan"), True, "3", None, 10**400])
def test_a_duration_that_cannot_be_true_is_unknown(seconds: object) -> None:
    assert read_usage({"seconds": seconds}, TextCleaner()).detail.audio_seconds is None


def test_drawings_have_a_usage_of_their_own_and_only_one() -> None:
    svg = {"model": "gpt-5-mini", "input_tokens": 5, "output_tokens": 6}
    usage = read_usage({"input_tokens": 1, "svg_usage": {**svg, "svg_usage": svg}}, TextCleaner())
    assert usage.svg is not None
    assert (usage.svg[0], usage.svg[1].output_tokens, usage.svg[1].svg) == ("gpt-5-mini", 6, None)


@pytest.mark.parametrize("word", ["a\0", "\ud800", "x" * 65, "", 7, None, "zu\n"])
def test_words_from_strangers_are_plain_or_nothing(word: object) -> None:
    usage = read_usage({"input_tokens": 1, "service_tier": word, "speed": word}, TextCleaner())
    assert (usage.detail.service_tier, usage.detail.speed) == (None, None)


@pytest.mark.parametrize("given", [None, {}, [], "12", 12, True])
def test_what_is_no_usage_is_absent(given: object) -> None:
    assert read_usage(given, TextCleaner()) == Usage()


@pytest.mark.parametrize("count", [-1, 10**13, 2**63, 10**400, 1.5, "12", True, None, [], 1e308])
def test_a_count_that_cannot_be_true_is_unknown(count: object) -> None:
    usage = read_usage({"prompt_tokens": count, "total_tokens": 3.0}, TextCleaner())
    assert (usage.input_tokens, usage.total_tokens) == (None, 3)
