"""Cutting: the slices are the body whatever comes, and a longer conversation begins with those of the shorter one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decode.slices import LARGE_BYTES, LONGEST_SLICE_BYTES, cut_body
from app.exchange import SliceKind

SYSTEM = {"role": "system", "content": "You are a careful assistant. " * 20}
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Looks at a thing. " * 20}}]


def pieces(body: bytes) -> list[tuple[SliceKind, bytes]]:
    """The slices of a body with their bytes, which together are the body."""
    found: list[tuple[SliceKind, bytes]] = []
    begin = 0
    for kind, end in cut_body(body) or [(SliceKind.REST, len(body))]:
        assert begin < end
        found.append((kind, body[begin:end]))
        begin = end
    assert begin == len(body)
    return found


def of(kind: SliceKind, body: bytes) -> list[bytes]:
    """The slices of one kind."""
    return [piece for each, piece in pieces(body) if each == kind]


def turns(count: int) -> list[dict[str, Any]]:
    """A talk of so many long messages."""
    return [{"role": "user", "content": f"{number} " + "words and words " * 70} for number in range(count)]


def body_of(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize("name", ["messages", "input"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_longer_conversation_begins_with_the_slices_of_the_shorter_one(
    name: str, indent: int | None
) -> None:
    def body(count: int) -> bytes:
        fields = {"model": "m", name: turns(count), "temperature": count / 10, "metadata": {"call": count}}
        return json.dumps(fields, indent=indent).encode()

    short, long = (of(SliceKind.TALK, body(count)) for count in (3, 5))
    assert len(short) == 3 and long[:3] == short and len(long) == 5


def test_short_messages_go_with_the_next_one_and_still_begin_alike() -> None:
    talk = [{"role": "user", "content": "yes"}, *turns(2)]
    short, long = (of(SliceKind.TALK, body_of(messages=talk[:count])) for count in (2, 3))
    assert len(short) == 1 and long[:1] == short


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_prompt_that_changes_parts_no_conversation_from_its_beginning(role: str) -> None:
    def body(time: str) -> bytes:
        prompt = {"role": role, "content": SYSTEM["content"] + time}
        return body_of(model="m", messages=[prompt, *turns(3)], tools=TOOLS)

    one, other = body("10:00"), body("10:01")
    assert of(SliceKind.PROMPT, one) != of(SliceKind.PROMPT, other)
    for kind in (SliceKind.TALK, SliceKind.TOOLS, SliceKind.REST):
        assert of(kind, one) == of(kind, other)


def test_tools_and_instructions_are_slices_of_their_own() -> None:
    body = body_of(instructions=SYSTEM["content"], input=turns(2), metadata={"a": "b"}, tools=TOOLS)
    assert of(SliceKind.TOOLS, body) == [json.dumps(TOOLS).encode()]
    assert of(SliceKind.PROMPT, body) == [json.dumps(SYSTEM["content"]).encode()]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,@"}},
        {"type": "input_audio", "input_audio": {"data": "@", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,@"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "@"}},
    ],
)
def test_large_base64_parts_are_slices_without_what_surrounds_them(part: dict[str, Any]) -> None:
    large = "QUJD" * LARGE_BYTES
    talk = [{"role": "user", "content": [{"type": "text", "text": "Look: " * 50}, part]}, *turns(1)]
    body = json.dumps({"messages": talk}).replace("@", large).encode()
    assert of(SliceKind.LARGE, body) == [large.encode()]


def test_no_slice_is_longer_than_the_bound() -> None:
    large = "A" * (2 * LONGEST_SLICE_BYTES + 5)
    body = body_of(
        messages=[*turns(1), {"content": "data:a/b;base64," + large}, {"content": "z " * 2_000_000}]
    )
    assert max(len(piece) for _, piece in pieces(body)) == LONGEST_SLICE_BYTES
    assert b"".join(of(SliceKind.LARGE, body)) == large.encode()


def test_lone_surrogates_are_cut_like_all_else() -> None:
    talk = [{"role": "user", "content": "\ud83d" + "half an emoji " * 40}, *turns(2)]
    assert len(of(SliceKind.TALK, body_of(messages=talk))) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"messages": [',
        b"[1, 2]" + b" " * 2000,
        b"null" + b" " * 2000,
        b'{"messages":' + b"[" * 100_000,
        b'{"messages": [{"a": 1}], "messages": [{"b": 2}]}' + b" " * 2000,
        b'{"input": ["' + b'text", "' * 500 + b'"]}',
        b'{"input": ' + b"[1, 2]" * 500 + b"}",
        b'{"messages": "' + b"x" * 2000 + b'"}',
        b'{"messages": []}' + b" " * 2000,
        b'{"messages": [{"a": 1}], "other": "' + b"x" * 300_000 + b'"}',
        b"--boundary\r\ncontent-disposition: form-data" + b"\xff" * 2000,
    ],
)
def test_what_is_no_such_json_is_kept_whole(body: bytes) -> None:
    assert cut_body(body) is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["messages", "input", "tools", "system", "x"]), JSON_VALUES), max_size=6
    ),
    st.integers(0, 2),
    st.integers(0, 2000),
    st.binary(max_size=3),
)
def test_any_body_is_the_sum_of_its_slices(
    fields: list[tuple[str, Any]], indent: int, position: int, noise: bytes
) -> None:
    inner = ",".join(f"{json.dumps(name)}:{json.dumps(value, indent=indent)}" for name, value in fields)
    talk = json.dumps([SYSTEM, *turns(2)])
    body = f'{{{inner}{"," if inner else ""}"messages":{talk},"tools":{json.dumps(TOOLS)}}}'.encode()
    pieces(body)
    pieces(body[:position] + noise + body[position:])
    pieces(body[:position] + noise + body[position + len(noise) :])


def test_an_answer_shares_the_slice_of_what_was_said_to_it() -> None:
    answer = {"role": "assistant", "content": "an answer " * 60}
    talk = [*turns(1), answer, *turns(1), answer, *turns(1)]
    slices = [of(SliceKind.TALK, body_of(messages=talk[:count])) for count in (1, 3, 5)]
    assert [len(each) for each in slices] == [1, 2, 3]
    assert slices[2][:1] == slices[0] and slices[2][:2] == slices[1]


def test_answers_without_end_are_not_one_slice() -> None:
    talk = [{"role": "assistant", "content": "an answer " * 60} for _ in range(100)]
    sizes = [len(each) for each in of(SliceKind.TALK, body_of(messages=talk))]
    assert max(sizes) < LARGE_BYTES + 1_000
