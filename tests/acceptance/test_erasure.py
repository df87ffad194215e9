"""A user is erased from a running Verbatim: no byte is left, others lose none, and old journals bring none back."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.acceptance.openai_upstream import openai_upstream
from tests.erased import places_of
from tests.fakes.upstream import ScriptedUpstream
from tests.product import Product, running_product

pytestmark = pytest.mark.timeout(240)
CANARY = "canary-6f1d2c"
SHARED = "What both of them ask, word for word. " * 20
FORMATS = ("jsonl", "csv", "txt", "md", "openai-finetune", "parquet")


def talk(client: openai.OpenAI, user: str, words: str) -> None:
    """Calls of several kinds, of which only the body says whose they are."""
    shared: Any = [{"role": "user", "content": SHARED}]
    client.chat.completions.create(model="gpt-5", messages=shared, safety_identifier=user)
    own: Any = [*shared, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": words * 40}]
    client.chat.completions.create(model="gpt-5", messages=own, user=user)
    list(client.chat.completions.create(model="gpt-5", messages=own, user=user, stream=True))
    client.responses.create(model="gpt-5", input=words, instructions=words, user=user)
    headers = {"x-verbatim-user": user, "x-verbatim-conversation": words, "x-verbatim-tag-note": words}
    client.embeddings.create(model="text-embedding-3-small", input=words, extra_headers=headers)


def post(product: Product, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        product.console_url + path,
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {product.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


async def done(product: Product, erasure_id: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            found = await product.get_json(f"/api/erasures/{erasure_id}")
            if found["status"] == "done":
                return found
            await asyncio.sleep(0.1)


async def check_gone(product: Product, url: str) -> None:
    """The canary is in no table, no file and no export."""
    assert await places_of(url, CANARY, "ann-4711") == []
    for file in [each for each in product.data_dir.parent.rglob("*") if each.is_file()]:
        try:
            assert CANARY.encode() not in file.read_bytes(), file
        except FileNotFoundError:
            continue  # a segment that was let go meanwhile
    for kind in FORMATS:
        exported = await asyncio.to_thread(product.get, f"/api/export?format={kind}")
        assert exported and CANARY.encode() not in exported
    assert (await product.get_json(f"/api/exchanges?q={CANARY}"))["data"] == []
    assert (await product.get_json("/api/exchanges?user=ann-4711"))["data"] == []


async def bodies(product: Product, user: str) -> dict[str, list[bytes]]:
    """What is kept of a user, by exchange."""
    found = {}
    for each in (await product.get_json(f"/api/exchanges?user={user}&limit=100"))["data"]:
        paths = [f"/api/exchanges/{each['id']}/{side}" for side in ("request", "response")]
        found[each["id"]] = [await asyncio.to_thread(product.get, path) for path in paths]
    return found


async def test_a_user_is_erased_for_good(database_url: str, tmp_path: Path) -> None:
    data, old = tmp_path / "run" / "data", tmp_path / "old"
    async with ScriptedUpstream(openai_upstream) as upstream:
        settings: dict[str, Any] = {
            "upstream": f"http://127.0.0.1:{upstream.port}",
            "database_url": database_url,
        }
        async with running_product(data, **settings) as product:
            client = openai.OpenAI(base_url=f"{product.proxy_url}/v1", api_key="sk-0123456789abcdefghij")
            await asyncio.to_thread(talk, client, "ann-4711", CANARY)
            await asyncio.to_thread(talk, client, "ben", "something harmless")
            shutil.copytree(data / "journal", old, ignore=shutil.ignore_patterns("ballast", "*.new"))
            await product.exchanges(10)
            assert sum(CANARY.encode() in each.read_bytes() for each in old.glob("*.seg")) >= 1
            assert "pieces.data" in await places_of(database_url, CANARY)
            before = await bodies(product, "ben")
            counted = await asyncio.to_thread(
                post, product, "/api/erasures", {"user": "ann-4711", "dry_run": True}
            )
            assert counted["exchanges"] == 5
            asked = await asyncio.to_thread(post, product, "/api/erasures", {"user": "ann-4711"})
            receipt = await done(product, asked["id"])
            assert receipt["counts"]["exchanges"] == 5
            assert receipt["counts"]["pieces_kept"] >= 1
            assert [each["live"] for each in receipt["recorders"]] == [True]
            assert receipt["recorders"][0]["done_at"] is not None
            await check_gone(product, database_url)
            assert await bodies(product, "ben") == before and len(before) == 5
            # Ann goes on, and it is recorded.
            await asyncio.to_thread(talk, client, "ann-4711", "what she said later")
            assert len(await product.exchanges(5, "&user=ann-4711")) == 5
            asked = await asyncio.to_thread(post, product, "/api/erasures", {"user": "ann-4711"})
            await done(product, asked["id"])
            client.close()
        for segment in old.glob("*.seg"):
            shutil.copy(segment, data / "journal" / segment.name)
        async with running_product(data, **settings) as product:
            async with asyncio.timeout(60):
                while any((data / "journal" / each.name).exists() for each in old.glob("*.seg")):
                    await asyncio.sleep(0.1)
            await check_gone(product, database_url)
            assert await bodies(product, "ben") == before
