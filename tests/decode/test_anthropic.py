"""Anthropic's messages become messages in one form, whole and streamed."""

from __future__ import annotations

import json

from app.decode import Decoded, Request, Response, decode_exchange
from tests.decode.reading import answers, calls

PATH = b"/v1/messages"
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-1",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "42.", "citations": [{"type": "char_location", "cited_text": "42"}]},
        {"type": "tool_use", "id": "toolu_1", "name": "one", "input": {"x": 1}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 7},
}
EVENTS: list[tuple[str, dict[str, object]]] = [
    (
        "message_start",
        {
            "message": {
                **ANSWER,
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 1},
            }
        },
    ),
    ("content_block_start", {"index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
    ("ping", {}),
    ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "h"}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "m"}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "s"}}),
    ("content_block_stop", {"index": 0}),
    ("content_block_start", {"index": 1, "content_block": {"type": "text", "text": ""}}),
    ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": "It is 42."}}),
    ("content_block_delta", {"index": 1, "delta": {"type": "citations_delta", "citation": {"type": "page"}}}),
    (
        "content_block_start",
        {"index": 2, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "one", "input": {}}},
    ),
    ("content_block_delta", {"index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}}),
    ("content_block_delta", {"index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"x"'}}),
    ("content_block_delta", {"index": 2, "delta": {"type": "input_json_delta", "partial_json": ":1}"}}),
    (
        "message_delta",
        {"delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7, "input_tokens": 0}},
    ),
    ("message_stop", {}),
]


def decode(request: object, body: bytes, kind: str = "application/json", status: int = 200) -> Decoded:
    return decode_exchange(
        Request("POST", PATH, content_type="application/json", body=json.dumps(request).encode()),
        Response(status, kind, None, body),
    )


def stream(events: list[tuple[str, dict[str, object]]], *, names: bool = True) -> bytes:
    lines = [
        (f"event: {kind}\n" if names else "") + f"data: {json.dumps({'type': kind, **value})}\n\n"
        for kind, value in events
    ]
    return "".join(lines).encode()


def test_a_whole_answer_and_its_stream_are_the_same_message() -> None:
    whole = decode({"messages": []}, json.dumps(ANSWER).encode())
    for names in (True, False):
        streamed = decode({"messages": []}, stream(EVENTS, names=names), "text/event-stream")
        for decoded in (whole, streamed):
            (message,) = answers(decoded)
            assert (message.text, message.reasoning, message.finish_reason) == ("It is 42.", "hm", "tool_use")
            assert calls(message) == [("toolu_1", "one", '{"x":1}')]
            assert (decoded.route, decoded.capture_status) == ("messages", "decoded")
            assert (decoded.upstream_id, decoded.model_served) == ("msg_1", "claude-x-1")
            assert json.loads(decoded.usage.verbatim or "") == ANSWER["usage"]


def test_what_tools_gave_are_messages_of_their_own() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    request = {
        "model": "claude-x",
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": ANSWER["content"]},
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [{"type": "text", "text": "4"}],
                    },
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no", "is_error": True},
                    {"type": "text", "text": "And this?"},
                    image,
                    {
                        "type": "document",
                        "title": "d",
                        "source": {"type": "url", "url": "https://x.test/d.pdf"},
                    },
                ],
            },
        ],
    }
    decoded = decode(request, json.dumps(ANSWER).encode())
    asked = [message for message in decoded.messages if message.direction == "request"]
    assert [(m.role, m.text, m.tool_call_id) for m in asked] == [
        ("system", "Be brief.", None),
        ("user", "Hi", None),
        ("assistant", "It is 42.", None),
        ("tool", "4", "toolu_1"),
        ("tool", "no", "toolu_2"),
        ("user", "And this?", None),
    ]
    assert calls(asked[2]) == [("toolu_1", "one", '{"x":1}')]
    assert asked[2].reasoning == "hm"
    kinds = [part["type"] for part in asked[5].parts if isinstance(part, dict)]
    assert kinds == ["text", "image", "file"]
    assert decoded.request_preview == "And this?"


def test_what_the_provider_ran_by_itself_is_a_part_of_the_answer() -> None:
    content = [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [{"type": "web_search_result"}],
        },
        {"type": "text", "text": "Found."},
    ]
    (message,) = answers(decode({"messages": []}, json.dumps({**ANSWER, "content": content}).encode()))
    assert calls(message) == [("srvtoolu_1", "web_search", '{"query":"x"}')]
    assert [part["type"] for part in message.parts if isinstance(part, dict)] == [
        "web_search_tool_result",
        "text",
    ]


def test_an_error_ends_a_stream() -> None:
    error: tuple[str, dict[str, object]] = (
        "error",
        {"error": {"type": "overloaded_error", "message": "Overloaded"}},
    )
    decoded = decode({"messages": []}, stream([*EVENTS[:9], error]), "text/event-stream")
    assert (decoded.error_type, decoded.error_message) == ("overloaded_error", "Overloaded")
    assert (answers(decoded)[0].text, decoded.capture_status) == ("It is 42.", "decoded")


def test_a_stream_without_its_end_is_partial() -> None:
    decoded = decode({"messages": []}, stream(EVENTS[:9]), "text/event-stream")
    assert (answers(decoded)[0].text, decoded.capture_status) == ("It is 42.", "partial")


def test_an_error_envelope_holds_no_message() -> None:
    body = b'{"type":"error","error":{"type":"not_found_error","message":"model: x"}}'
    decoded = decode({"messages": [{"role": "user", "content": "Hi"}]}, body, status=404)
    assert (answers(decoded), decoded.error_type) == ([], "not_found_error")


def test_counted_tokens_are_none_that_were_used() -> None:
    decoded = decode_exchange(
        Request("POST", PATH + b"/count_tokens", body=b'{"messages":[{"role":"user","content":"Hi"}]}'),
        Response(200, "application/json", None, b'{"input_tokens": 14}'),
    )
    assert (decoded.response_preview, decoded.usage.source) == ("14 input tokens", "absent")
