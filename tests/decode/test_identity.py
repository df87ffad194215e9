"""An answer is known again in whatever bytes it comes back."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from app.decode import Message, Request, Response, ToolCall, decode_exchange
from app.decode.identity import KEY_BYTES, Identity, content_key, identify
from tests.decode.mutants import fixture_seeds, mutants

Fields = dict[str, Any]
CHAT, RESPONSES, ANTHROPIC = "/v1/chat/completions", "/v1/responses", "/v1/messages"
USER: Fields = {"role": "user", "content": "What is it?"}


def keys(path: str, request: Fields, answer: Fields | bytes | None = None) -> Identity:
    """The keys of one exchange."""
    told = answer if isinstance(answer, bytes) else json.dumps(answer or {}).encode()
    kind = "text/event-stream" if isinstance(answer, bytes) else "application/json"
    decoded = decode_exchange(
        Request("POST", path.encode(), content_type="application/json", body=json.dumps(request).encode()),
        Response(200, kind, None, told),
    )
    return identify(decoded.messages)


def chat(messages: list[Fields], answer: Fields | None = None) -> Identity:
    choices = [{"index": 0, "message": {"role": "assistant", **answer}}] if answer else []
    return keys(CHAT, {"messages": messages}, {"choices": choices})


def call(arguments: str, call_id: str = "call_1") -> Fields:
    return {"id": call_id, "type": "function", "function": {"name": "ls", "arguments": arguments}}


@pytest.mark.parametrize(
    ("answer", "sent_back"),
    [
        ({"content": "It is."}, {"content": "It is."}),
        ({"content": "It is.\n"}, {"content": [{"type": "text", "text": "It is."}], "name": "helper"}),
        (
            {"content": "It is.", "refusal": None, "annotations": [], "reasoning_content": "Hm."},
            {"content": "It is."},
        ),
        ({"content": None, "refusal": "I will not."}, {"content": None, "refusal": "I will not."}),
        ({"content": None, "refusal": "I will not."}, {"content": "I will not."}),
        (
            {"content": None, "tool_calls": [call('{"path": "/a", "n": 1.0}')]},
            {"tool_calls": [call('{"n":1,"path":"/a"}', "other")]},
        ),
        ({"content": None, "tool_calls": [call("")]}, {"content": "", "tool_calls": [call("{}")]}),
        ({"content": None, "tool_calls": [call("not { json ")]}, {"tool_calls": [call("not { json")]}),
        (
            {"content": None, "function_call": {"name": "ls", "arguments": "{}"}},
            {"tool_calls": [call("{ }")]},
        ),
        (
            {"content": "Look.", "audio": {"id": "audio_1", "data": "AAAA", "transcript": "Look."}},
            {"content": "Look.", "audio": {"id": "audio_1"}},
        ),
    ],
)
def test_a_chat_answer_is_known_when_it_comes_back(answer: Fields, sent_back: Fields) -> None:
    gave = chat([USER], answer)
    held = chat([USER, {"role": "assistant", **sent_back}, {"role": "user", "content": "And?"}])
    assert gave.answer_keys == [held.held[0].link_key]
    assert gave.tip == held.held[0].node
    assert gave.content_keys == held.content_keys[: 2 * KEY_BYTES]


def test_a_stream_and_a_whole_answer_have_the_same_keys() -> None:
    pieces = ["It", " is", "."]
    events = [{"choices": [{"index": 0, "delta": {"content": each}}]} for each in pieces]
    body = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events) + b"data: [DONE]\n\n"
    assert keys(CHAT, {"messages": [USER]}, body) == chat([USER], {"content": "It is."})


@pytest.mark.parametrize("is_stateful", [False, True])
def test_the_items_of_a_response_are_one_answer_when_they_come_back(is_stateful: bool) -> None:
    text = {"type": "output_text", "text": "It is.", "annotations": [{"type": "url_citation", "url": "u"}]}
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "it"}},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "ls", "arguments": '{"a": 1}'},
    ]
    gave = keys(RESPONSES, {"input": "What is it?"}, {"object": "response", "output": output})
    plain = [
        {"role": "assistant", "content": "It is."},
        {"type": "function_call", "call_id": "call_9", "name": "ls", "arguments": '{"a":1}'},
    ]
    result = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
    back = [
        {"role": "user", "content": [{"type": "input_text", "text": "What is it?"}]},
        *(output if is_stateful else plain),
        result,
    ]
    held = keys(RESPONSES, {"input": back, "instructions": "Be brief."})
    assert gave.answer_keys == [held.held[0].link_key]
    assert (gave.roles, gave.kinds) == ("ua", "tc")
    assert held.roles == "suat"


def test_anthropic_answers_are_known_when_they_come_back() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "text", "text": "It is."},
        {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {"b": 1, "a": 2}},
    ]
    gave = keys(ANTHROPIC, {"messages": [USER]}, {"type": "message", "role": "assistant", "content": blocks})
    sent_back = [
        {"type": "text", "text": "It is.", "cache_control": {"type": "ephemeral"}},
        {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {"a": 2, "b": 1}},
    ]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
    held = keys(
        ANTHROPIC,
        {
            "system": [{"type": "text", "text": "Be brief."}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What is it?"}]},
                {"role": "assistant", "content": sent_back},
                {"role": "user", "content": [result]},
            ],
        },
    )
    assert gave.answer_keys == [held.held[0].link_key]


def test_what_is_told_apart_has_other_keys() -> None:
    one = chat([USER], {"content": "It is."}).answer_keys[0]
    others = [
        chat([USER], {"content": "It is not."}),
        chat([{"role": "user", "content": "What was it?"}], {"content": "It is."}),
        chat([USER], {"content": "It is.", "tool_calls": [call("{}")]}),
        chat([USER, {"role": "assistant", "content": "x"}, USER], {"content": "It is."}),
    ]
    assert one not in [each.answer_keys[0] for each in others]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    another = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAB"}}
    first, second = (
        chat(
            [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, each]}],
            {"content": "It is."},
        )
        for each in (picture, another)
    )
    assert len({one, first.answer_keys[0], second.answer_keys[0]}) == 3
    assert first.kinds == "mt"


def test_the_system_prompt_and_what_was_compacted_leave_half_of_a_link_key() -> None:
    long = [{"role": "system", "content": "At noon."}, USER, {"role": "assistant", "content": "a"}]
    gave = chat([*long, {"role": "user", "content": "And?"}], {"content": "b"})
    ends = [{"role": "user", "content": "And?"}, {"role": "assistant", "content": "b"}]
    later = chat([{"role": "system", "content": "At one."}, *long[1:], *ends])
    assert gave.answer_keys == [later.held[0].link_key]
    assert gave.tip != later.held[0].node
    compacted = chat([{"role": "user", "content": "So far: a."}, *ends])
    assert compacted.held[0].link_key != gave.answer_keys[0]
    assert compacted.held[0].link_key[:8] == gave.answer_keys[0][:8]


def test_an_answer_that_goes_on_from_a_prefill_is_one_turn_with_it() -> None:
    begun = {"role": "assistant", "content": '{"a":'}
    gave = chat([USER, begun], {"content": " 1}"})
    held = chat([USER, {"role": "assistant", "content": '{"a": 1}'}, USER])
    assert gave.answer_keys == [held.held[0].link_key]
    assert gave.roles == "ua"


def test_a_compaction_is_known_by_itself() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed" * 400}
    output = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}, item]
    gave = keys("/v1/responses/compact", {"input": "x"}, {"object": "response.compaction", "output": output})
    held = keys(RESPONSES, {"input": [output[0], item, {"role": "user", "content": "go on"}]})
    assert gave.answer_keys == [held.held[0].link_key]


def test_every_choice_has_a_key_and_the_first_is_in_the_chain() -> None:
    choices = [{"index": n, "message": {"role": "assistant", "content": f"{n}"}} for n in (1, 0, 2)]
    gave = keys(CHAT, {"messages": [USER]}, {"choices": choices})
    held = [chat([USER, {"role": "assistant", "content": f"{n}"}]).held[0] for n in range(3)]
    assert gave.answer_keys == [each.link_key for each in held]
    assert gave.tip == held[0].node


def test_a_content_key_is_a_digest_of_what_was_said_and_by_whom() -> None:
    def message(role: str, **changes: Any) -> Message:
        return Message("request", None, role, changes.pop("text", "Hello"), **changes)

    assert len(content_key(message("user"))) == 32
    assert content_key(message("system")) == content_key(message("developer"))
    assert content_key(message("user")) != content_key(message("assistant"))
    assert content_key(message("user", text="Hello\r\nyou ")) == content_key(
        message("user", text="Hello\nyou")
    )
    calls = [ToolCall("a", "ls", '{"x": [1, {"y": 2}]}')]
    same = [ToolCall("b", "ls", ' {"x":[1,{"y":2.0}]}')]
    assert content_key(message("assistant", tool_calls=calls)) == content_key(
        message("assistant", tool_calls=same)
    )


def test_nothing_said_has_no_keys() -> None:
    assert identify([]) == Identity()
    assert chat([]).tip is None
    assert identify([Message("request", None, "assistant", None, reasoning="Hm.")]) == Identity()


def test_as_many_answers_are_held_as_are_looked_for() -> None:
    talk = [each for n in range(100) for each in (USER, {"role": "assistant", "content": f"{n}"})]
    found = chat(talk)
    assert len(found.held) == 32
    assert [each.turns for each in found.held[:2]] == [200, 198]


def test_deep_and_odd_arguments_have_a_key() -> None:
    for arguments in (
        "[" * 5_000,
        '{"a": 1e999}',
        '{"a": 123456789012345678901234567890}',
        "\ud800",
        "1.5.5",
    ):
        content_key(Message("request", None, "assistant", None, tool_calls=[ToolCall(None, None, arguments)]))


def test_damaged_exchanges_have_keys_of_the_same_form() -> None:
    damaged = mutants(fixture_seeds(), random.Random(5))
    for _ in range(5_000):
        mutant = next(damaged)
        found = identify(decode_exchange(mutant.request, mutant.response).messages)
        assert len(found.content_keys) == KEY_BYTES * len(found.roles) == KEY_BYTES * len(found.kinds)
        assert all(len(each.link_key) == len(each.node) == KEY_BYTES for each in found.held)
        assert all(len(each) == KEY_BYTES for each in found.answer_keys)
