"""What was said, read from the kept bytes."""

import gzip
import json
import uuid

from app.api.schemas.exchanges import ExchangeDetail
from tests.store.samples import record, talk

ASK = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What "}, {"type": "text", "text": "is it?"}]},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "42"},
    ],
}
TELL = b"".join(
    b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    for choice in (
        {"index": 0, "delta": {"role": "assistant", "reasoning_content": "hm", "content": "4"}},
        {"index": 1, "delta": {"refusal": "No"}},
        {"index": 0, "delta": {"content": "2"}, "finish_reason": "stop"},
        {"index": 1, "delta": {}, "finish_reason": "stop"},
    )
)


async def messages(console, sent) -> list | None:
    await console.ingest.deliver([sent])
    found = (await console.get(f"/api/exchanges/{uuid.UUID(bytes=sent.id)}")).json()
    ExchangeDetail.model_validate(found, extra="forbid")
    return found["messages"]


async def test_an_exchange_shows_what_was_said_in_order_and_in_one_form(console):
    sent = talk(json.dumps(ASK).encode(), TELL + b"data: [DONE]\n\n")
    shown = await messages(console, sent) or []
    assert [(m["direction"], m["choice"], m["role"], m["text"]) for m in shown] == [
        ("request", None, "system", "Be brief."),
        ("request", None, "user", "What is it?"),
        ("request", None, "assistant", None),
        ("request", None, "tool", "42"),
        ("response", 0, "assistant", "42"),
        ("response", 1, "assistant", None),
    ]
    assert shown[2]["tool_calls"] == [{"id": "a", "name": "look", "arguments": "{}"}]
    assert shown[3]["tool_call_id"] == "a"
    assert shown[4]["parts"] == [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "42"}]
    assert (shown[4]["reasoning"], shown[4]["finish_reason"]) == ("hm", "stop")
    assert (shown[5]["refusal"], shown[5]["parts"]) == ("No", [{"type": "refusal", "refusal": "No"}])


async def test_bodies_in_a_coding_below_a_named_upstream_are_read(console):
    sent = talk(
        json.dumps(ASK).encode(),
        gzip.compress(TELL),
        path="/groq/v1/chat/completions",
        upstream="groq",
        response_content_encoding="gzip",
    )
    assert [m["text"] for m in await messages(console, sent) or []][-2:] == ["42", None]


async def test_no_number_or_text_of_a_model_breaks_the_answer(console):
    odd = {"type": "odd", "n": 10**40, "text": "\ud800\u0000", "deep": [[[]]]}
    asked = {"messages": [{"role": "user", "content": [odd]}]}
    (message, *_) = await messages(console, talk(json.dumps(asked).encode(), TELL)) or []
    assert message["parts"] == [{"type": "odd", "n": 10**40, "text": "\ufffd\ufffd", "deep": [[[]]]}]


async def test_what_is_not_kept_has_no_messages_and_what_is_not_understood_has_none_of_them(console):
    assert await messages(console, record(log_mode="metadata")) is None
    assert await messages(console, talk(b"\xff\x00", b"\x00", path="/v1/unheard-of")) == []
