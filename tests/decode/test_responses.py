"""Whole responses and their requests become messages in one form."""

from __future__ import annotations

import pytest

from tests.decode.reading import answers, calls, decode_whole

TEXT = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
ANSWER = {
    "id": "resp_1",
    "object": "response",
    "model": "m-1",
    "status": "completed",
    "output": [TEXT],
    "error": None,
}


def test_a_text_input_and_instructions_are_messages() -> None:
    decoded = decode_whole("responses", {"model": "m", "instructions": "Be brief.", "input": "Hi"}, ANSWER)
    assert [(m.role, m.text) for m in decoded.messages] == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]
    assert (decoded.request_preview, decoded.finish_reason) == ("Hi", "completed")
    assert (decoded.upstream_id, decoded.model_served) == ("resp_1", "m-1")


def test_items_of_every_kind_are_messages_in_order() -> None:
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "there"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "a", "name": "one", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "42"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "43"}]},
        {"type": "item_reference", "id": "msg_1"},
        "and?",
    ]
    messages = decode_whole("responses", {"input": items}, ANSWER).messages[:-1]
    assert [(m.role, m.text) for m in messages] == [
        ("user", "Hi"),
        ("user", "there"),
        ("assistant", None),
        ("assistant", None),
        ("tool", "42"),
        ("tool", "43"),
        ("assistant", None),
        ("user", "and?"),
    ]
    assert messages[2].reasoning == "hm"
    assert calls(messages[3]) == [("a", "one", "{}")]
    assert messages[6].parts == [{"type": "item_reference", "id": "msg_1"}]


def test_an_answer_of_many_items_is_one_message() -> None:
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "No"}]}
    output = [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        TEXT,
        refusal,
        {"type": "custom_tool_call", "call_id": "a", "name": "one", "input": "x"},
        {"type": "mcp_call", "id": "b", "name": "two", "arguments": {"x": 1}},
    ]
    (message,) = answers(decode_whole("responses", {"input": "Hi"}, {**ANSWER, "output": output}))
    assert (message.text, message.refusal, message.reasoning) == ("Hello", "No", "hm")
    assert calls(message) == [("a", "one", "x"), ("b", "two", '{"x":1}')]
    assert {"type": "web_search_call", "id": "ws_1", "status": "completed"} in message.parts


def test_a_response_in_the_background_has_no_message_yet() -> None:
    decoded = decode_whole(
        "responses", {"input": "Hi"}, {**ANSWER, "status": "queued", "output": [], "usage": None}
    )
    assert (answers(decoded), decoded.finish_reason, decoded.usage.source) == ([], "queued", "absent")


def test_input_beyond_the_bound_is_left_out_and_flagged() -> None:
    decoded = decode_whole("responses", {"input": ["x"] * 10_001}, {**ANSWER, "output": [TEXT] * 10_001})
    assert (len(decoded.messages), decoded.text_flags) == (10_001, ("cut",))


@pytest.mark.parametrize("odd", [None, 1, "x", [], [1, None, "x", []], {"a": 1}, True, 1.5])
def test_fields_of_any_type_raise_nothing(odd: object) -> None:
    kinds = ["message", "reasoning", "function_call", "function_call_output", "mcp_call", odd]
    fields = ("role", "content", "output", "arguments", "call_id", "name", "summary", "id")
    items = [{"type": kind, **dict.fromkeys(fields, odd)} for kind in kinds]
    body = {"id": odd, "model": odd, "status": odd, "usage": odd, "error": odd, "service_tier": odd}
    decode_whole("responses", {"input": items, "instructions": odd}, {**body, "output": items})
    decode_whole("responses", {"input": odd}, {**body, "output": odd})
    decode_whole("responses", {"input": odd}, odd)
