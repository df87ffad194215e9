"""What can be an example for fine-tuning, and what cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from pydantic import TypeAdapter

from app.export.finetune import REASONS, FinetuneWriter, why_left_out
from app.export.values import Exported
from tests.export.shapes import ID, answer, call, exported, message

TOOLS = {"tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]}
_MESSAGES = TypeAdapter(list[ChatCompletionMessageParam])
_TOOLS = TypeAdapter(list[ChatCompletionFunctionToolParam])


def valid(line: bytes) -> dict[str, Any]:
    """The example of a line, held against the rules that OpenAI's upload has."""
    example = json.loads(line)
    assert example.keys() <= {"messages", "tools", "parallel_tool_calls"}
    messages = example["messages"]
    _MESSAGES.validate_python(
        [{name: value for name, value in each.items() if name != "weight"} for each in messages]
    )
    _TOOLS.validate_python(example.get("tools", []))
    assert messages[-1]["role"] == "assistant"
    assert {each["role"] for each in messages} <= {"system", "user", "assistant", "tool"}
    for each in messages:
        assert each["role"] == "assistant" or not {"weight", "tool_calls"} & each.keys()
        assert each.get("weight", 1) in (0, 1)
        assert each.get("content") is not None or each["tool_calls"]
    return example


def written(one: Exported) -> dict[str, Any]:
    return valid(FinetuneWriter(with_ids=False).add(one))


def test_a_chat_becomes_an_example_that_teaches_its_last_answer_alone():
    example = written(
        exported(
            message("developer", "Be brief."),
            message("user", "Hi", name="alice"),
            message("assistant", "Hello"),
            message("user", "你好"),
            answer("你好！", reasoning="hm"),
        )
    )
    assert example["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi", "name": "alice"},
        {"role": "assistant", "content": "Hello", "weight": 0},
        {"role": "user", "content": "你好"},
        {"role": "assistant", "content": "你好！"},
    ]


def test_calls_of_functions_and_what_they_gave_are_kept_with_the_tools_that_were_offered():
    said = (
        message("user", "Look"),
        message("assistant", ""),
        message("assistant", "I will."),
        message("assistant", None, tool_calls=[call("a"), call("b", arguments=None)]),
        message("tool", "42", tool_call_id="b"),
        message("tool", None, tool_call_id="a"),
        answer("It is 42."),
    )
    example = written(exported(*said, fields={**TOOLS, "parallel_tool_calls": True}))
    assert example["tools"] == TOOLS["tools"]
    assert example["parallel_tool_calls"] is True
    assert [each["role"] for each in example["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]
    assert example["messages"][1]["content"] == "I will."
    assert [each["function"]["arguments"] for each in example["messages"][1]["tool_calls"]] == ["{}", "{}"]


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True},
        {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}},
    ],
)
def test_tools_of_every_api_become_functions(tool):
    fields = {"tools": [tool, {"type": "web_search"}]}
    example = written(exported(message("user", "x"), answer(None, tool_calls=[call("a")]), fields=fields))
    (made,) = example["tools"]
    assert made["function"]["name"] == "look"
    assert made["function"]["parameters"] == {"type": "object"}


def test_pictures_by_address_stay():
    parts = [
        {"type": "text", "text": "See"},
        {"type": "image", "url": "https://x.test/a.png", "detail": "low"},
    ]
    example = written(exported(message("user", "See", parts=parts), answer("A cat.")))
    assert example["messages"][0]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "https://x.test/a.png", "detail": "low"},
    }


USER = message("user", "x")
CUT = [
    ("not_completed", exported(USER, answer("y"), status=500)),
    ("not_completed", exported(USER, answer("y"), outcome="client_left")),
    ("not_completed", exported(USER, answer("y"), status=None)),
    ("no_messages", Exported(exported().record)),
    ("no_messages", exported(USER)),
    ("context_elsewhere", exported(USER, answer("y"), fields={"previous_response_id": "resp_1"})),
    ("cut", exported(USER, answer("y", finish_reason="length"))),
    ("cut", exported(USER, answer("y", finish_reason="content_filter"))),
    ("refused", exported(USER, answer(None, refusal="No"))),
    ("empty", exported(USER, answer(""))),
    ("empty", exported(message("user", ""), answer("y"))),
    ("empty", exported(message("system", "x"), answer("y"))),
    ("media", exported(message("user", "", parts=[{"type": "image", "sha256": "00"}]), answer("y"))),
    ("media", exported(message("user", "", parts=[{"type": "audio"}]), answer("y"))),
    ("media", exported(USER, answer("y", parts=[{"type": "audio"}]))),
    ("tools", exported(USER, answer(None, tool_calls=[call(None)]), fields=TOOLS)),
    ("tools", exported(USER, answer(None, tool_calls=[call("a", arguments="free")]), fields=TOOLS)),
    ("tools", exported(USER, answer(None, tool_calls=[call("a")]))),
    ("tools", exported(USER, message("tool", "4", tool_call_id="a"), answer("y"), fields=TOOLS)),
    (
        "tools",
        exported(USER, message("assistant", None, tool_calls=[call("a")]), USER, answer("y"), fields=TOOLS),
    ),
    ("tools", exported(USER, answer("y", parts=[{"type": "web_search_call"}]))),
    ("tools", exported(USER, message("function", "4", name="f"), answer("y"))),
    ("role", exported(USER, message("critic", "bad"), answer("y"))),
]


@pytest.mark.parametrize(("reason", "one"), CUT)
def test_what_cannot_be_expressed_is_left_out_counted_and_told(reason, one):
    writer = FinetuneWriter(with_ids=True)
    assert json.loads(writer.add(one)) == {"id": ID, "left_out": reason}
    assert writer.left_out == {reason: 1}
    assert FinetuneWriter(with_ids=False).add(one) == b""
    assert why_left_out(one) == reason
    assert reason in REASONS


def test_with_ids_each_example_is_named():
    told = json.loads(FinetuneWriter(with_ids=True).add(exported(USER, answer("y"))))
    assert told["id"] == ID
    assert told["example"]["messages"][-1] == {"role": "assistant", "content": "y"}
