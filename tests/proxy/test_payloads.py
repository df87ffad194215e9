"""Payloads put together from parts are what encoding them whole would give."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.exchange import AnswerHead, Begin
from app.proxy.answer_heads import head_of
from app.proxy.payloads import BeginTemplate, answer_head_payload, array_header
from app.proxy.secrets import Redactor
from app.proxy.upstream import StatusLine

NAMES = st.sampled_from([b"Content-Type", b"x-request-id", b"Set-Cookie", b"X-Secret", b"location"])
HEADERS = st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=20)


def begin_with(headers: list[tuple[bytes, bytes]]) -> Begin:
    return Begin(
        accept_number=0,
        boot="",
        slot=0,
        wall_ns=0,
        mode="full",
        method="POST",
        target=b"/v1/chat/completions",
        upstream="v1",
        authority="https://api.openai.com",
        http_version="1.1",
        headers=headers,
        project="default",
        user="é",
        tags={"a": "b"},
        key="0123456789abcdef",
    )


@given(HEADERS, st.integers(0, 2**63), st.integers(0, 2**15 - 1), st.integers(0, 2**63))
def test_begin_is_what_encoding_it_whole_gives(
    headers: list[tuple[bytes, bytes]], number: int, slot: int, wall_ns: int
) -> None:
    payload = BeginTemplate(begin_with(headers), -1).payload(number, "01abcdef", slot, wall_ns, b"")
    expected = msgspec.structs.replace(
        begin_with(headers), accept_number=number, boot="01abcdef", slot=slot, wall_ns=wall_ns
    )
    assert msgspec.msgpack.decode(payload, type=Begin) == expected


@pytest.mark.parametrize("place", [0, 1, 15, 16, 40])
def test_the_length_of_this_very_body_is_put_in(place: int) -> None:
    headers = [(b"x-%d" % number, b"v") for number in range(41)]
    headers[place] = (b"Content-Length", b"1")
    payload = BeginTemplate(begin_with(headers), place).payload(7, "01abcdef", 2, 9, b"123456")
    read = msgspec.msgpack.decode(payload, type=Begin)
    headers[place] = (b"Content-Length", b"123456")
    assert read.headers == headers
    assert (read.accept_number, read.boot, read.slot, read.wall_ns) == (7, "01abcdef", 2, 9)
    assert (read.user, read.tags, read.bodies_kept) == ("é", {"a": "b"}, True)


@given(HEADERS, st.sampled_from([(), (b"sk-credential-0123456789",)]))
def test_an_answer_head_is_what_encoding_it_whole_gives(
    headers: list[tuple[bytes, bytes]], credentials: tuple[bytes, ...]
) -> None:
    redactor = Redactor(b"key")
    head = head_of(StatusLine(200, b"OK", b"1.1"), headers, None, chunked=False, bodyless=False)
    for _ in range(2):  # the second time from what was kept
        payload = answer_head_payload(head, redactor, credentials)
        read = msgspec.msgpack.decode(payload, type=AnswerHead)
        one_by_one = [redactor.kept([field], credentials)[0] for field in headers]
        assert read == AnswerHead(200, b"OK", "1.1", one_by_one)


def test_a_credential_in_an_answer_head_is_replaced_and_not_remembered_for_others() -> None:
    redactor, credential = Redactor(b"key"), b"plain-word-0123"
    fields = [(b"content-type", b"text/plain; " + credential)]
    head = head_of(StatusLine(200, b"no " + credential, b"1.1"), fields, None, chunked=False, bodyless=False)
    assert credential not in answer_head_payload(head, redactor, (credential,))
    assert credential in answer_head_payload(head, redactor, (b"another",))
    assert credential not in answer_head_payload(head, redactor, (credential,))


@pytest.mark.parametrize("size", [0, 15, 16, 1000, 65_535])
def test_array_headers_are_those_of_messagepack(size: int) -> None:
    assert msgspec.msgpack.decode(array_header(size) + b"\x00" * size) == [0] * size
