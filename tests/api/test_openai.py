"""OpenAI's own read API over the record, asked by the official SDK."""

import dataclasses
import json
import uuid
from typing import Any

import openai
import pytest

import app.api.openai_record
from app.decode.facts import read_facts
from app.decode.jsonsafe import TextCleaner
from app.store.writing.record import Record
from tests.api.conftest import TOKEN
from tests.store.samples import NOON_NS, talk

ASK = {
    "model": "gpt-x",
    "metadata": {"team": "blue"},
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}]},
    ],
}


def with_facts(made: Record, asked: dict[str, Any]) -> Record:
    """With the facts that the recorder would keep of a request."""
    assert made.content is not None
    facts = read_facts(asked, {}, TextCleaner())
    return dataclasses.replace(made, content=dataclasses.replace(made.content, facts=facts))


def whole(number: int, metadata: dict[str, str], model: str = "gpt-x") -> Record:
    answer = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}],
    }
    asked = {**ASK, "metadata": metadata, "model": model}
    made = talk(
        json.dumps(asked).encode(),
        json.dumps(answer).encode(),
        at_ns=NOON_NS + number * 1_000_000,
        upstream_id=answer["id"],
        model=model,
        response_content_type="application/json",
    )
    return with_facts(made, asked)


def events(*values: dict) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in values)


def streamed(number: int):
    head = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "gpt-x",
    }
    deltas = ({"role": "assistant", "content": "4"}, {"content": "2"})
    chunks = [{**head, "choices": [{"index": 0, "delta": each}]} for each in deltas]
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return talk(
        json.dumps(ASK).encode(),
        events(*chunks, end) + b"data: [DONE]\n\n",
        at_ns=NOON_NS + number * 1_000_000,
        upstream_id=head["id"],
        model="gpt-x",
    )


@pytest.fixture
async def client(console):
    async with openai.AsyncOpenAI(base_url=f"{console.url}/v1", api_key=TOKEN, max_retries=0) as made:
        yield made


async def test_the_sdk_pages_through_all_chat_completions_and_filters_them(console, client):
    sent = [whole(number, {"team": "red" if number % 2 else "blue"}) for number in range(1, 6)]
    await console.ingest.deliver([*sent, streamed(6), whole(7, {}, model="other")])
    ids = [each.id async for each in client.chat.completions.list(limit=2)]
    assert ids == [f"chatcmpl-{number}" for number in range(1, 8)]
    newest = await client.chat.completions.list(limit=2, order="desc")
    assert [each.id for each in newest.data] == ["chatcmpl-7", "chatcmpl-6"]
    assert newest.has_more
    red = [each.id async for each in client.chat.completions.list(metadata={"team": "red"}, limit=1)]
    assert red == ["chatcmpl-1", "chatcmpl-3", "chatcmpl-5"]
    assert [each.id async for each in client.chat.completions.list(model="other")] == ["chatcmpl-7"]


async def test_metadata_is_found_whatever_facts_hold_of_it(console, client):
    odd = {"data": "x", "a.b": 'say "hi"', "long": "y" * 500, "n": "1"}
    cut = whole(2, {"team": "green"})
    assert cut.content is not None
    cut = dataclasses.replace(cut, content=dataclasses.replace(cut.content, facts='{"cut": true}'))
    await console.ingest.deliver([whole(1, odd), cut, whole(3, {"n": "2"}), whole(4, {})])
    for name, value in odd.items():
        found = [each.id async for each in client.chat.completions.list(metadata={name: value})]
        assert found == ["chatcmpl-1"]
    assert [each.id async for each in client.chat.completions.list(metadata=odd)] == ["chatcmpl-1"]
    assert [each.id async for each in client.chat.completions.list(metadata={"team": "green"})] == [
        "chatcmpl-2"
    ]
    for none in ({"n": "3"}, {"n": "\0"}, {"data": "y"}):
        assert [each async for each in client.chat.completions.list(metadata=none)] == []


async def test_a_list_that_takes_too_long_is_an_error_and_no_empty_page(console, client, monkeypatch):
    monkeypatch.setattr(app.api.openai_record, "BUDGET_SECONDS", 0)
    await console.ingest.deliver([whole(1, {})])
    with pytest.raises(openai.BadRequestError, match="takes too long"):
        await client.chat.completions.list(metadata={"a": "b"})


@pytest.mark.parametrize("path", ["", "/chatcmpl-1/messages"])
async def test_an_unknown_parameter_of_a_list_is_refused(console, path):
    await console.ingest.deliver([whole(1, {})])
    answer = await console.get(f"/v1/chat/completions{path}?modle=x")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (400, "modle", "invalid_request_error")
    assert "expected one of after, limit, order" in error["message"]


async def test_the_sdk_retrieves_whole_and_streamed_completions(console, client):
    plain, stream = whole(1, {"a": "b"}), streamed(2)
    await console.ingest.deliver([plain, stream])
    for item_id in ("chatcmpl-1", "chatcmpl-2", str(uuid.UUID(bytes=stream.id))):
        found = await client.chat.completions.retrieve(item_id)
        assert (found.id, found.object) == (item_id, "chat.completion")
        assert type(found).model_validate(found.to_dict()).choices[0].message.content == "42"
        assert found.choices[0].finish_reason == "stop"


async def test_the_latest_of_several_with_one_id_counts(console, client):
    older, newer = whole(1, {}, model="old"), whole(2, {}, model="new")
    same = [dataclasses.replace(each, upstream_id="chatcmpl-same") for each in (older, newer)]
    await console.ingest.deliver(same)
    assert (await client.chat.completions.retrieve("chatcmpl-same")).model == "new"
    assert len([each async for each in client.chat.completions.list(limit=1)]) == 1


async def test_the_sdk_lists_the_messages_of_a_request(console, client):
    await console.ingest.deliver([whole(1, {})])
    said = [each async for each in client.chat.completions.messages.list("chatcmpl-1", limit=1)]
    assert [(each.id, each.content) for each in said] == [
        ("chatcmpl-1-0", "Be brief."),
        ("chatcmpl-1-1", None),
    ]
    assert said[1].content_parts[0].text == "What is it?"


async def test_the_sdk_retrieves_a_streamed_response_and_its_input(console, client):
    item = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "42", "annotations": []}],
    }
    body = {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [item]}
    await console.ingest.deliver(
        [
            talk(
                json.dumps({"model": "m", "input": "What?"}).encode(),
                events({"type": "response.completed", "response": body}),
                path="/v1/responses",
                upstream_id="resp_1",
            )
        ]
    )
    found = await client.responses.retrieve("resp_1")
    assert type(found).model_validate(found.to_dict()).output_text == "42"
    items = [each async for each in client.responses.input_items.list("resp_1")]
    assert [(each.role, each.content[0].text) for each in items] == [("user", "What?")]


async def test_errors_are_openais(console, client):
    for asking in (
        client.chat.completions.retrieve("chatcmpl-none"),
        client.responses.retrieve("resp_none"),
        client.chat.completions.list(after="chatcmpl-none"),
    ):
        with pytest.raises(openai.NotFoundError) as refused:
            await asking
        assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError) as invalid:
        await client.chat.completions.list(limit=0)
    assert invalid.value.type == "invalid_request_error"
