"""The official SDK, unchanged, gets through a running Verbatim exactly what it gets without."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.acceptance.openai_upstream import MESSAGE, openai_upstream
from tests.fakes.upstream import ScriptedUpstream
from tests.product import Product, running_product

pytestmark = pytest.mark.timeout(120)
MESSAGES: Any = [{"role": "user", "content": "Say it."}]


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(openai_upstream) as running:
        yield running


@pytest.fixture
async def product(tmp_path, upstream) -> AsyncIterator[Product]:
    async with running_product(tmp_path / "data", upstream=f"http://127.0.0.1:{upstream.port}") as running:
        yield running


def chat_whole(client):
    return client.chat.completions.create(model="gpt-5", messages=MESSAGES, user="ann")


def chat_streamed(client):
    stream = client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=True)
    return list(stream)


def response_whole(client):
    return client.responses.create(model="gpt-5", input="Say it.")


def response_streamed(client):
    return list(client.responses.create(model="gpt-5", input="Say it.", stream=True))


def embeddings(client):
    return client.embeddings.create(model="text-embedding-3-small", input="one")


def file_upload(client):
    return client.files.create(file=("a.jsonl", io.BytesIO(b'{"a": 1}\n' * 50_000)), purpose="batch")


def audio_download(client):
    return client.audio.speech.create(model="tts-1", voice="alloy", input="Say it.").read()


def models(client):
    return list(client.models.list())


CALLS = (
    chat_whole,
    chat_streamed,
    response_whole,
    response_streamed,
    embeddings,
    file_upload,
    audio_download,
    models,
)


def plain(value):
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.model_dump() if hasattr(value, "model_dump") else value


def run_all(base_url: str) -> list[object]:
    with openai.OpenAI(base_url=base_url, api_key="sk-test-0123456789abcdef", max_retries=0) as client:
        return [plain(call(client)) for call in CALLS]


async def test_the_synchronous_client_gets_the_same_and_everything_is_recorded(upstream, product):
    direct = await asyncio.to_thread(run_all, f"http://127.0.0.1:{upstream.port}/v1")
    through = await asyncio.to_thread(run_all, f"{product.proxy_url}/v1")
    assert through == direct
    rows = await product.exchanges(len(CALLS))
    assert len(rows) == len(CALLS)
    assert {row["outcome"] for row in rows} == {"completed"}
    by_route = {(row["path"], row["stream"]): row for row in rows}
    for path in ("/v1/chat/completions", "/v1/responses"):
        for streamed in (True, False):
            row = by_route[path, streamed]
            assert row["model"] == "gpt-5" and row["status"] == 200
            assert row["usage"]["input_tokens"] == 9 and row["usage"]["output_tokens"] == 3
            assert row["request_preview"] == "Say it." and row["response_preview"] == MESSAGE
    assert by_route["/v1/chat/completions", False]["user"] == "ann"
    upload = by_route["/v1/files", False]
    sent = next(each for each in upstream.requests if each.target == b"/v1/files")
    recorded = await asyncio.to_thread(product.get, f"/api/exchanges/{upload['id']}/request")
    # The boundary differs between the two uploads; length and content do not.
    assert len(recorded) == len(sent.body) == upload["request_bytes"]


async def test_the_asynchronous_client_gets_the_same(upstream, product):
    async def run(base_url: str) -> list[object]:
        async with openai.AsyncOpenAI(
            base_url=base_url, api_key="sk-test-0123456789abcdef", max_retries=0
        ) as client:
            stream: Any = await client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=True)
            events: Any = await client.responses.create(model="gpt-5", input="Say it.", stream=True)
            return [
                plain([chunk async for chunk in stream]),
                plain([event async for event in events]),
                plain(await client.chat.completions.create(model="gpt-5", messages=MESSAGES)),
                plain(await client.embeddings.create(model="text-embedding-3-small", input="one")),
            ]

    assert await run(f"{product.proxy_url}/v1") == await run(f"http://127.0.0.1:{upstream.port}/v1")


@pytest.mark.parametrize(("key", "status"), [("bad", 401), ("busy", 429), ("broken", 500)])
async def test_errors_reach_the_client_as_the_upstream_sent_them(upstream, product, key, status):
    def run(base_url: str) -> tuple[int, object, str | None, str]:
        client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)
        with client, pytest.raises(openai.APIStatusError) as caught:
            chat_whole(client)
        failure = caught.value
        return failure.status_code, failure.body, failure.response.headers.get("retry-after"), str(failure)

    direct = await asyncio.to_thread(run, f"http://127.0.0.1:{upstream.port}/v1")
    assert await asyncio.to_thread(run, f"{product.proxy_url}/v1") == direct
    assert direct[0] == status
    [row] = await product.exchanges(1)
    assert (row["status"], row["outcome"]) == (status, "completed")


async def test_an_exchange_can_be_read_within_a_second_of_its_end(product):
    await asyncio.to_thread(run_all, f"{product.proxy_url}/v1")
    await product.exchanges(len(CALLS))

    def ask() -> str:
        with openai.OpenAI(base_url=f"{product.proxy_url}/v1", api_key="sk-x", max_retries=0) as client:
            return client.chat.completions.with_raw_response.create(model="gpt-5", messages=MESSAGES).headers[
                "x-verbatim-exchange-id"
            ]

    loop = asyncio.get_running_loop()
    delays: list[float] = []
    for _ in range(5):
        exchange_id = await asyncio.to_thread(ask)
        began = loop.time()
        rows = await product.exchanges(len(CALLS) + len(delays) + 1)
        delays.append(loop.time() - began)
        assert rows[0]["id"] == exchange_id
    # One second is the promise; the best of five is not spoilt by a busy machine.
    assert min(delays) < 1.0
