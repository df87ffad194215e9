"""What calls cost, from the official SDK's call to the console's answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.acceptance.openai_upstream import answer, whole
from tests.fakes.upstream import Connection, ScriptedUpstream
from tests.product import Product, running_product

pytestmark = pytest.mark.timeout(120)
BACKGROUND: dict[str, Any] = {
    "id": "resp_9",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5",
    "background": True,
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "output": [],
    "service_tier": "flex",
}
USAGE = {
    "input_tokens": 80,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 100,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 180,
}


async def upstream_with_background(connection: Connection) -> None:
    """The OpenAI API, with responses in the background that are done when they are first asked for."""
    while request := await connection.read_request():
        body = json.loads(request.body) if request.body else {}
        if body.get("background"):
            pieces = [whole({**BACKGROUND, "status": "queued", "usage": None})]
        elif request.target == b"/v1/responses/resp_9":
            pieces = [whole({**BACKGROUND, "status": "completed", "usage": USAGE})]
        else:
            pieces = answer(request)
        for piece in pieces:
            await connection.send(piece)


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    async with ScriptedUpstream(upstream_with_background) as upstream:
        url = f"http://127.0.0.1:{upstream.port}"
        prices = tmp_path / "prices.toml"
        prices.write_text(f'[[upstreams]]\nupstream = "{url}"\nprovider = "openai"\n')
        async with running_product(tmp_path / "data", upstream=url, prices=prices) as running:
            yield running


def call(base_url: str) -> None:
    with openai.OpenAI(base_url=base_url, api_key="sk-test-0123456789abcdef", max_retries=0) as client:
        client.embeddings.create(model="text-embedding-3-small", input="one")
        client.responses.create(model="gpt-5", input="Say it.")
        for _ in client.responses.create(model="gpt-5", input="Say it.", stream=True):
            pass
        made = client.responses.create(model="gpt-5", input="Think.", background=True)
        for _ in range(5):
            client.responses.retrieve(made.id)


async def test_calls_of_the_sdk_cost_what_the_price_list_says_and_polls_nothing_more(
    product: Product,
) -> None:
    await asyncio.to_thread(call, f"{product.proxy_url}/v1")
    rows = await product.exchanges(9)
    costs = sorted(Decimal(row["cost"]) for row in rows if row["cost"] is not None)
    assert costs == [
        Decimal("0.00000008"),  # 4 * 0.02
        Decimal("0.00003675"),  # 5 * 1.25 + 4 * 0.125 + 3 * 10.00, whole
        Decimal("0.00003675"),  # and streamed
        Decimal("0.00055"),  # 80 * 0.625 + 100 * 5.00
    ]
    assert {row["cost"] for row in rows if row["path"] == "/v1/embeddings"} == {"0.00000008"}
    polls = [await product.get_json(f"/api/exchanges/{row['id']}") for row in rows if row["method"] == "GET"]
    assert sorted(poll["cost_status"] for poll in polls) == ["priced", *4 * ["repeated"]]
    assert all(poll["usage_reported"] == USAGE for poll in polls)
    assert sum((row["usage"] or {}).get("output_tokens") or 0 for row in rows) == 106
