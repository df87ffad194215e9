"""Every kind of event fills the item it is about, however its upstream numbers items."""

from __future__ import annotations

import json

import pytest

from app.decode import Decoded, Message, Request, Response, decode_exchange
from tests.decode.reading import answers, calls, decode_stream, decode_whole


def stream(*events: dict[str, object], ends: bool = True) -> Decoded:
    last = {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}}
    lines = [f"data: {json.dumps(event)}\n\n" for event in (*events, *([last] if ends else []))]
    return decode_stream("responses", "".join(lines).encode())


def message(*events: dict[str, object]) -> Message:
    (found,) = answers(stream(*events))
    return found


def test_deltas_of_every_kind_are_put_together() -> None:
    said = message(
        {
            "type": "response.reasoning_summary_text.delta",
            "output_index": 0,
            "summary_index": 0,
            "delta": "h",
        },
        {
            "type": "response.reasoning_summary_text.delta",
            "output_index": 0,
            "summary_index": 0,
            "delta": "m",
        },
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Hel"},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "lo"},
        {
            "type": "response.output_text.annotation.added",
            "output_index": 1,
            "annotation": {"type": "url_citation"},
        },
        {"type": "response.refusal.delta", "output_index": 1, "content_index": 1, "delta": "No"},
        {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{"},
        {"type": "response.function_call_arguments.done", "output_index": 2, "arguments": "{}"},
        {"type": "response.custom_tool_call_input.delta", "output_index": 3, "delta": "x"},
        {"type": "response.mcp_call_arguments.delta", "output_index": 4, "delta": "[]"},
        {"type": "response.shell_call_command.added", "output_index": 5, "command_index": 0, "command": ""},
        {"type": "response.shell_call_command.delta", "output_index": 5, "command_index": 0, "delta": "ls"},
        {"type": "response.code_interpreter_call_code.delta", "output_index": 6, "delta": "1+1"},
        {"type": "response.unheard_of.delta", "output_index": 9, "delta": "?"},
        {
            "type": "response.image_generation_call.partial_image",
            "output_index": 9,
            "partial_image_b64": "AAAA",
        },
    )
    assert (said.text, said.refusal, said.reasoning) == ("Hello", "No", "hm")
    assert calls(said) == [
        (None, None, "{}"),
        (None, None, "x"),
        (None, None, "[]"),
        (None, "shell", '{"commands":["ls"]}'),
    ]
    kinds = [part["type"] for part in said.parts if isinstance(part, dict)]
    assert kinds == ["reasoning", "text", "refusal", "mcp_call", "code_interpreter_call"]
    assert {"type": "text", "text": "Hello", "annotations": [{"type": "url_citation"}]} in said.parts


def test_a_spoken_answer_has_its_words() -> None:
    said = message(
        {"type": "response.audio.transcript.delta", "delta": "Hel"},
        {"type": "response.audio.delta", "delta": "AAAA"},
        {"type": "response.audio.transcript.delta", "delta": "lo"},
    )
    assert said.parts == [{"type": "audio", "transcript": "Hello"}]


def test_whole_parts_stand_for_their_deltas() -> None:
    part = {"type": "output_text", "text": "Hello", "annotations": []}
    said = message(
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hel"},
        {"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": part},
    )
    assert said.text == "Hello"


def test_items_of_one_index_are_told_apart_by_their_ids() -> None:
    events: list[dict[str, object]] = []
    for name in ("a", "b"):
        item = {"type": "function_call", "id": name, "call_id": f"call_{name}", "name": name, "arguments": ""}
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {
                "type": "response.function_call_arguments.delta",
                "output_index": 0,
                "item_id": name,
                "delta": "{}",
            },
        ]
    assert calls(message(*events)) == [("call_a", "a", "{}"), ("call_b", "b", "{}")]


def test_ids_that_change_with_each_event_are_passed_over() -> None:
    item = {"type": "message", "id": "one", "role": "assistant", "content": []}
    said = message(
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "two", "delta": "Hel"},
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "three", "delta": "lo"},
    )
    assert said.text == "Hello"


def test_a_terminal_event_with_empty_items_loses_nothing_that_was_streamed() -> None:
    empty = {"type": "message", "role": "assistant", "content": []}
    last = {"type": "response.completed", "response": {"status": "completed", "output": [empty]}}
    body = "".join(
        f"data: {json.dumps(event)}\n\n"
        for event in ({"type": "response.output_text.delta", "output_index": 0, "delta": "Hello"}, last)
    )
    assert answers(decode_stream("responses", body.encode()))[0].text == "Hello"


@pytest.mark.parametrize(
    ("item", "call"),
    [
        (
            {"type": "computer_call", "call_id": "c", "action": {"type": "click"}},
            ("c", "computer", '{"type":"click"}'),
        ),
        (
            {"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"]}},
            ("c", "local_shell", '{"command":["ls"]}'),
        ),
        (
            {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file"}},
            ("c", "apply_patch", '{"type":"delete_file"}'),
        ),
        (
            {"type": "tool_search_call", "call_id": "c", "arguments": {"q": 1}},
            ("c", "tool_search", '{"q":1}'),
        ),
    ],
    ids=["computer", "local_shell", "apply_patch", "tool_search"],
)
def test_calls_without_a_name_are_named_by_their_kind(item: dict[str, object], call: tuple[str, ...]) -> None:
    (said,) = answers(decode_whole("responses", {"input": "Hi"}, {"output": [item], "status": "completed"}))
    assert (calls(said), said.parts) == ([call], [])
    asked = decode_whole("responses", {"input": [item]}, {"output": []}).messages
    assert calls(asked[0]) == [call]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"type": "function_call_output", "call_id": "c", "output": "42"}, "42"),
        (
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [{"type": "input_text", "text": "42"}],
            },
            "42",
        ),
        ({"type": "custom_tool_call_output", "call_id": "c", "output": "42"}, "42"),
        ({"type": "local_shell_call_output", "call_id": "c", "output": "42"}, "42"),
        ({"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "4", "stderr": "2"}]}, "42"),
        ({"type": "program_output", "call_id": "c", "result": "42"}, "42"),
        ({"type": "mcp_approval_response", "approval_request_id": "c", "approve": True}, None),
    ],
)
def test_what_a_tool_gave_answers_its_call(item: dict[str, object], text: str | None) -> None:
    (given,) = decode_whole("responses", {"input": [item]}, {"output": []}).messages
    assert (given.role, given.text, given.tool_call_id) == ("tool", text, "c")


def test_a_stored_response_is_read_and_its_stream_too() -> None:
    body = {
        "id": "r",
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}],
    }
    event = f"data: {json.dumps({'type': 'response.completed', 'response': body})}\n\n".encode()
    for kind, told in (("application/json", json.dumps(body).encode()), ("text/event-stream", event)):
        decoded = decode_exchange(
            Request("GET", b"/v1/responses/r", b"stream=true"), Response(200, kind, None, told)
        )
        assert (answers(decoded)[0].text, decoded.capture_status) == ("Hello", "decoded")
        assert decoded.usage.source == "absent"


def test_lists_of_what_was_stored_are_messages() -> None:
    items = {
        "object": "list",
        "data": [{"type": "message", "role": "user", "content": "Hi"}, {"type": "item_reference"}],
    }
    stored = {
        "object": "list",
        "data": [
            {"id": "m", "role": "user", "content": "Hi", "content_parts": [{"type": "text", "text": "Hi"}]}
        ],
    }
    for path, body in (("responses/r/input_items", items), ("chat/completions/c/messages", stored)):
        told = Response(200, "application/json", None, json.dumps(body).encode())
        decoded = decode_exchange(Request("GET", b"/v1/" + path.encode()), told)
        said = [(message.direction, message.role, message.text) for message in answers(decoded)]
        assert (said[0], decoded.capture_status) == (("response", "user", "Hi"), "decoded")
