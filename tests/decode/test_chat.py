"""Whole chat completions and their requests become messages in one form."""

from __future__ import annotations

import hashlib

import pytest

from tests.decode.reading import answers, calls, decode_whole

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
CALL = {"id": "a", "type": "function", "function": {"name": "one", "arguments": '{"x":1}'}}


def test_a_whole_exchange_has_all_that_a_list_needs() -> None:
    request = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hi\n\n  there"}],
        "user": "u-1",
    }
    decoded = decode_whole("chat", request, ANSWER)
    assert (decoded.route, decoded.stream, decoded.capture_status) == ("chat/completions", False, "decoded")
    assert (decoded.model_asked, decoded.model_served) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    assert (decoded.upstream_id, decoded.service_tier, decoded.finish_reason) == (
        "chatcmpl-1",
        "default",
        "stop",
    )
    assert (decoded.request_preview, decoded.response_preview) == ("Hi there", "Hello")
    assert (decoded.usage.total_tokens, decoded.user, decoded.error_type) == (5, "u-1", None)
    assert [(m.direction, m.choice, m.role, m.text) for m in decoded.messages] == [
        ("request", None, "user", "Hi\n\n  there"),
        ("response", 0, "assistant", "Hello"),
    ]


def test_messages_of_every_role_are_read_in_order() -> None:
    request = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "What "}, {"type": "text", "text": "is it?"}],
            },
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "a", "content": "42"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
            {"role": "assistant", "function_call": {"name": "old", "arguments": "{}"}},
        ]
    }
    messages = decode_whole("chat", request, ANSWER).messages[:-1]
    assert [(m.role, m.text) for m in messages] == [
        ("system", "Be brief."),
        ("user", "What is it?"),
        ("assistant", None),
        ("tool", "42"),
        ("assistant", ""),
        ("assistant", None),
    ]
    assert [calls(m) for m in messages[2:6]] == [[("a", "one", '{"x":1}')], [], [], [(None, "old", "{}")]]
    assert messages[4].refusal == "No"


def test_a_picture_in_base64_is_named_by_its_digest() -> None:
    image = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + "A" * 5000, "detail": "low"},
    }
    content = [{"type": "text", "text": "x" * 5000}, image]
    decoded = decode_whole("chat", {"messages": [{"role": "user", "content": content}]}, ANSWER)
    text, picture = decoded.messages[0].parts
    assert text == {"type": "text", "text": "x" * 5000}
    assert picture == {
        "type": "image",
        "detail": "low",
        "media_type": "image/png",
        "size_bytes": 3750,
        "sha256": hashlib.sha256(bytes(3750)).hexdigest(),
    }


def test_a_request_of_pictures_alone_has_a_preview() -> None:
    content = [{"type": "image_url", "image_url": {"url": "u"}}]
    decoded = decode_whole("chat", {"messages": [{"role": "user", "content": content}]}, ANSWER)
    assert decoded.request_preview == "[image]"


def test_custom_tools_and_arguments_that_are_objects_are_text() -> None:
    tool_calls = [
        {"id": "a", "type": "custom", "custom": {"name": "one", "input": "x y"}},
        {"id": "b", "function": {"name": "two", "arguments": {"x": 1}}},
        {"id": "c", "function": {"name": "three"}},
        "nonsense",
    ]
    choice = {
        "index": 0,
        "message": {"content": None, "tool_calls": tool_calls},
        "finish_reason": "tool_calls",
    }
    (message,) = answers(decode_whole("chat", {"messages": []}, {"choices": [choice]}))
    assert calls(message) == [("a", "one", "x y"), ("b", "two", '{"x":1}'), ("c", "three", None)]


def test_the_safety_identifier_goes_before_the_user() -> None:
    decoded = decode_whole("chat", {"safety_identifier": "s" * 300, "user": "u"}, ANSWER)
    assert decoded.user == "s" * 256


def test_messages_beyond_the_bound_are_left_out_and_flagged() -> None:
    decoded = decode_whole("chat", {"messages": [{"role": "user", "content": "x"}] * 10_001}, ANSWER)
    assert (len(decoded.messages), decoded.text_flags) == (10_001, ("cut",))


@pytest.mark.parametrize("odd", [None, 1, "x", [], [1, None, "x", []], {"a": 1}, True, 1.5])
def test_fields_of_any_type_raise_nothing(odd: object) -> None:
    message = {"role": odd, "content": odd, "tool_calls": odd, "refusal": odd, "reasoning": odd, "audio": odd}
    message |= {"function_call": odd, "reasoning_details": odd, "reasoning_content": odd}
    request = {"model": odd, "messages": [message, odd], "user": odd, "safety_identifier": odd}
    choice = {"index": odd, "message": message, "finish_reason": odd}
    body = {
        "id": odd,
        "model": odd,
        "choices": [choice, odd],
        "usage": odd,
        "service_tier": odd,
        "x_groq": odd,
    }
    decode_whole("chat", request, body)
    decode_whole("chat", request, {"choices": odd, "error": odd}, 400)
    decode_whole("chat", {"messages": odd}, {"choices": [{"message": {"tool_calls": [{"function": odd}]}}]})
