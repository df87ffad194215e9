"""Assistants and conversations: what was put in, what a run said, what is read again."""

from __future__ import annotations

import pytest

from app.decode.counting import Counting
from tests.decode.endpoints import call, named_sse, said

RUN = {
    "id": "run_1",
    "object": "thread.run",
    "thread_id": "thread_1",
    "assistant_id": "asst_1",
    "model": "gpt-4o",
    "status": "queued",
    "usage": None,
}
DONE = {
    **RUN,
    "status": "completed",
    "usage": {"prompt_tokens": 20, "completion_tokens": 11, "total_tokens": 31},
}


def text(value: str) -> list[dict]:
    return [{"type": "text", "text": {"value": value, "annotations": []}}]


def message(content: list[dict], role: str = "assistant", **fields: object) -> dict:
    return {"id": "msg_1", "object": "thread.message", "role": role, "content": content, **fields}


def delta(*content: dict) -> dict:
    return {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": list(content)}}


def test_a_thread_a_message_and_a_run_tell_what_they_are_made_with() -> None:
    messages: list[dict] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": text("Hello")},
    ]
    assert said(call("threads", {"messages": messages}, {"id": "t", "object": "thread"})) == [
        ("request", "user", "Hi"),
        ("request", "assistant", "Hello"),
    ]
    asked = {
        "role": "user",
        "content": [{"type": "text", "text": "Look"}, {"type": "image_file", "image_file": {"file_id": "f"}}],
    }
    decoded = call("threads/t/messages", asked, message(text("Look"), "user"))
    assert said(decoded) == [("request", "user", "Look")]
    assert decoded.messages[0].parts[1] == {"type": "image", "file_id": "f"}
    run = {"assistant_id": "a", "instructions": "Be brief", "thread": {"messages": messages[:1]}}
    assert said(call("threads/runs", run, RUN)) == [
        ("request", "system", "Be brief"),
        ("request", "user", "Hi"),
    ]


@pytest.mark.parametrize("body", [None, {}])
def test_a_thread_may_be_made_of_nothing(body: object) -> None:
    decoded = call("threads", body, {"id": "thread_1", "object": "thread"})
    assert (decoded.capture_status, decoded.upstream_id, decoded.response_preview) == (
        "decoded",
        "thread_1",
        "thread",
    )


def test_a_run_that_needs_a_tool_tells_its_calls_and_gets_their_results() -> None:
    wanted = [{"id": "call_1", "type": "function", "function": {"name": "time", "arguments": "{}"}}]
    run = {
        **RUN,
        "status": "requires_action",
        "required_action": {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": wanted}},
    }
    decoded = call("threads/t/runs/r", None, run, method="GET")
    assert [(each.id, each.name) for each in decoded.messages[0].tool_calls] == [("call_1", "time")]
    assert (decoded.finish_reason, decoded.response_preview) == ("requires_action", "time()")
    outputs = {"tool_outputs": [{"tool_call_id": "call_1", "output": "noon"}]}
    decoded = call("threads/t/runs/r/submit_tool_outputs", outputs, RUN)
    assert (said(decoded), decoded.messages[0].tool_call_id) == ([("request", "tool", "noon")], "call_1")


def run_events(*more: tuple[str, object]) -> bytes:
    return named_sse(
        ("thread.run.created", RUN),
        ("thread.message.created", message([])),
        ("thread.message.delta", delta({"index": 0, **text("Hel")[0]})),
        ("thread.message.delta", delta({"index": 0, "type": "text", "text": {"value": "lo"}})),
        ("thread.message.delta", delta({"index": 1, "type": "image_file", "image_file": {"file_id": "f"}})),
        *more,
    )


def test_a_streamed_run_is_its_messages_and_its_usage() -> None:
    whole = run_events(
        ("thread.run.step.delta", {"id": "step_1", "object": "thread.run.step.delta", "delta": {}}),
        ("thread.message.completed", message(text("Hello"))),
        ("thread.run.completed", DONE),
        ("done", "[DONE]"),
    )
    decoded = call("threads/t/runs", {"assistant_id": "a", "stream": True}, whole, kind="text/event-stream")
    assert said(decoded) == [("response", "assistant", "Hello")]
    assert (decoded.usage.input_tokens, decoded.counting, decoded.upstream_id) == (
        20,
        Counting.OBJECT,
        "run_1",
    )
    assert (decoded.model_served, decoded.finish_reason, decoded.capture_status) == (
        "gpt-4o",
        "completed",
        "decoded",
    )


def test_a_streamed_run_that_was_cut_is_what_its_deltas_say() -> None:
    decoded = call(
        "threads/runs", {"assistant_id": "a"}, run_events(), kind="text/event-stream", complete=False
    )
    assert (said(decoded), decoded.capture_status) == ([("response", "assistant", "Hello")], "partial")
    assert decoded.messages[0].parts[1] == {"type": "image", "file_id": "f"}


def test_a_run_that_failed_says_why() -> None:
    failed = {
        **RUN,
        "status": "failed",
        "last_error": {"code": "rate_limit_exceeded", "message": "Too much."},
    }
    streamed = run_events(("thread.run.failed", failed), ("done", "[DONE]"))
    for decoded in (
        call("threads/t/runs/r", None, failed, method="GET"),
        call("threads/t/runs", {}, streamed, kind="text/event-stream"),
    ):
        assert (decoded.error_code, decoded.finish_reason) == ("rate_limit_exceeded", "failed")
    error = named_sse(("error", {"error": {"code": "boom", "message": "No."}}))
    assert call("threads/runs", {}, error, kind="text/event-stream").error_code == "boom"


def test_messages_read_again_are_messages_and_no_choice() -> None:
    told = {"object": "list", "data": [message(text("Hello")), message(text("Hi"), "user")], "has_more": True}
    decoded = call("threads/t/messages", None, told, method="GET")
    assert said(decoded) == [("response", "assistant", "Hello"), ("response", "user", "Hi")]
    assert [each.choice for each in decoded.messages] == [None, None]
    assert decoded.response_preview == "2 thread messages, more follow"


def test_items_of_a_conversation_are_messages() -> None:
    items: list[dict] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c", "name": "time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "noon"},
    ]
    told = {"object": "list", "data": items, "has_more": False}
    asked = call("conversations/c/items", {"items": items}, told)
    assert said(asked) == [
        ("request", "user", "Hi"),
        ("request", "assistant", None),
        ("request", "tool", "noon"),
    ]
    read = call("conversations/c/items", None, told, method="GET")
    assert said(read) == [
        ("response", "user", "Hi"),
        ("response", "assistant", None),
        ("response", "tool", "noon"),
    ]
    assert read.messages[1].tool_calls[0].name == "time"
    one = call("conversations/c/items/i", None, {**items[0], "id": "i"}, method="GET")
    assert (said(one), one.upstream_id) == ([("response", "user", "Hi")], "i")


def test_hostile_events_of_a_run_give_a_value() -> None:
    odd = [
        {"object": "thread.message", "id": 7, "content": "x", "slots": {"a": 1}},
        {"object": "thread.message.delta", "delta": {"content": [{"index": True}, {"index": -1}, 5, None]}},
        {"object": "thread.message.delta", "id": "m", "delta": [1]},
        {"object": "thread.run", "status": ["completed"], "required_action": {"submit_tool_outputs": 1}},
    ]
    body = named_sse(*[("x", each) for each in odd])
    assert call("threads/runs", {"messages": 5, "thread": [1]}, body, kind="text/event-stream").capture_status
