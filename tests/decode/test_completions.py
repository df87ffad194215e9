"""Legacy completions: prompts of every form, and their answers."""

from __future__ import annotations

import pytest

from tests.decode.reading import answers, decode_whole

ANSWER = {
    "id": "cmpl-1",
    "object": "text_completion",
    "model": "m-1",
    "choices": [{"text": " world", "index": 0, "finish_reason": "stop"}, {"text": None}, 1],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Hello", [("Hello", [])]),
        (["a", "b"], [("a", []), ("b", [])]),
        ([1, 2, 3], [(None, [{"type": "tokens", "count": 3}])]),
        ([[1, 2], [3]], [(None, [{"type": "tokens", "count": 2}]), (None, [{"type": "tokens", "count": 1}])]),
        ([{"text": "x"}], [(None, [{"text": "x"}])]),
        (None, []),
        ([], []),
    ],
)
def test_a_prompt_of_any_form_is_read(prompt: object, said: list[tuple[str | None, list[object]]]) -> None:
    decoded = decode_whole("completions", {"prompt": prompt}, ANSWER)
    assert [(m.text, m.parts) for m in decoded.messages if m.direction == "request"] == said


def test_an_answer_has_a_message_for_each_choice() -> None:
    decoded = decode_whole("completions", {"prompt": "Hello"}, ANSWER)
    assert [(m.choice, m.text) for m in answers(decoded)] == [(0, " world"), (1, None), (2, None)]
    assert (decoded.finish_reason, decoded.usage.total_tokens, decoded.response_preview) == (
        "stop",
        2,
        "world",
    )


def test_prompts_beyond_the_bound_are_left_out_and_flagged() -> None:
    decoded = decode_whole("completions", {"prompt": ["x"] * 10_001}, {"choices": []})
    assert (len(decoded.messages), decoded.text_flags) == (10_000, ("cut",))
