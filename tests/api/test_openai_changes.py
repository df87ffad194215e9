"""Metadata is set, completions and responses are deleted, by the official SDK."""

from __future__ import annotations

import json
import uuid

import openai
import pytest

from app.store.database.pool import Pool
from app.store.erasing.running import Eraser
from tests.api.conftest import TOKEN
from tests.api.test_openai import streamed, whole
from tests.store.samples import NOON_NS, talk


@pytest.fixture
async def client(console):
    async with openai.AsyncOpenAI(base_url=f"{console.url}/v1", api_key=TOKEN, max_retries=0) as made:
        yield made


async def test_the_sdk_sets_metadata_and_finds_by_it_and_the_bytes_stay(console, client):
    made = whole(1, {"team": "blue"})
    await console.ingest.deliver([made, streamed(2), whole(3, {})])
    updated = await client.chat.completions.update("chatcmpl-1", metadata={"team": "red", "run": "7"})
    assert (updated.id, updated.metadata) == ("chatcmpl-1", {"team": "red", "run": "7"})
    await client.chat.completions.update("chatcmpl-2", metadata={"team": "red"})
    assert (await client.chat.completions.retrieve("chatcmpl-1")).metadata == {"team": "red", "run": "7"}
    red = [each.id async for each in client.chat.completions.list(metadata={"team": "red"})]
    assert red == ["chatcmpl-1", "chatcmpl-2"]
    assert [each async for each in client.chat.completions.list(metadata={"team": "blue"})] == []
    exchange_id = uuid.UUID(bytes=made.id)
    kept = await console.get(f"/api/exchanges/{exchange_id}/request")
    assert json.loads(kept.content)["metadata"] == {"team": "blue"}
    await client.chat.completions.update("chatcmpl-1", metadata=None)
    assert not (await client.chat.completions.retrieve("chatcmpl-1")).metadata


@pytest.mark.parametrize(
    "metadata",
    [
        {str(n): "x" for n in range(17)},
        {"k" * 65: "x"},
        {"k": "x" * 513},
        {"k": 7},
        {"k": "a\0b"},
        {"": "x"},
    ],
    ids=["many", "long key", "long value", "number", "nul", "empty key"],
)
async def test_metadata_that_openai_would_not_take_is_refused(console, client, metadata):
    await console.ingest.deliver([whole(1, {})])
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.update("chatcmpl-1", metadata=metadata)
    assert refused.value.type == "invalid_request_error"
    assert not (await client.chat.completions.retrieve("chatcmpl-1")).metadata


async def test_the_sdk_deletes_a_completion_and_it_is_gone_at_once(console, client, database_url):
    await console.ingest.deliver([whole(1, {}), whole(2, {})])
    deleted = await client.chat.completions.delete("chatcmpl-1")
    assert (deleted.id, deleted.deleted, deleted.object) == ("chatcmpl-1", True, "chat.completion.deleted")
    for asking in (
        client.chat.completions.retrieve("chatcmpl-1"),
        client.chat.completions.delete("chatcmpl-1"),
        client.chat.completions.update("chatcmpl-1", metadata={}),
        client.chat.completions.delete("chatcmpl-none"),
    ):
        with pytest.raises(openai.NotFoundError):
            await asking
    assert [each.id async for each in client.chat.completions.list()] == ["chatcmpl-2"]
    pool = Pool(database_url)
    await Eraser(pool).run_once()
    await pool.close()
    assert len(await console.ids()) == 1
    erasures = (await console.get("/api/erasures")).json()["data"]
    assert [(each["status"], each["kind"]) for each in erasures] == [("done", "exchange")]


async def test_the_sdk_deletes_a_response_with_all_that_read_it(console, client, database_url):
    body = json.dumps({"id": "resp_1", "object": "response", "status": "completed", "output": []}).encode()
    asked = json.dumps({"model": "m", "input": "What?"}).encode()
    common = {"upstream_id": "resp_1", "response_content_type": "application/json"}
    await console.ingest.deliver(
        [
            talk(asked, body, path="/v1/responses", **common),
            talk(b"", body, path="/v1/responses/resp_1", method="GET", at_ns=NOON_NS + 10**9, **common),
        ]
    )
    await client.responses.delete("resp_1")
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve("resp_1")
    pool = Pool(database_url)
    await Eraser(pool).run_once()
    await pool.close()
    assert await console.ids() == []
