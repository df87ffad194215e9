"""`/api/tail` over a real socket."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import pytest

from app.telemetry.tasks import spawn
from tests.store.samples import record


async def events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, str]]:
    """Events with data, as a browser reads them."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line:
            if "data" in fields:
                yield fields
            fields = {}


async def take(
    console, count: int, query: str = "", last_id: str | None = None, ready=None
) -> list[dict[str, str]]:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    found: list[dict[str, str]] = []
    async with asyncio.timeout(15):
        async with console.client.stream("GET", f"/api/tail{query}", headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            lines = answer.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            if ready is not None:
                ready.set()
            async for each in events(lines):
                found.append(each)
                if len(found) == count:
                    break
    return found


async def test_exchanges_come_as_they_are_recorded_and_go_on_after_a_cut(console):
    ready = asyncio.Event()
    following = spawn(take(console, 2, "?user=a", ready=ready), name="follow")
    await ready.wait()
    sent = [record(user="a"), record(user="b"), record(user="a"), record(user="a")]
    for each in sent:
        await console.ingest.deliver([each])
    first = await following
    assert [json.loads(each["data"])["id"] for each in first] == [
        str(uuid.UUID(bytes=sent[at].id)) for at in (0, 2)
    ]
    assert {each["event"] for each in first} == {"exchange"}
    (rest,) = await take(console, 1, "?user=a", first[-1]["id"])
    assert json.loads(rest["data"])["id"] == str(uuid.UUID(bytes=sent[3].id))
    listed = (await console.get("/api/exchanges?user=a")).json()["data"]
    assert json.loads(rest["data"]) in listed


@pytest.mark.parametrize("last_id", ["x", "1-1", "9999999999999999999999-" + str(uuid.UUID(int=0))])
async def test_an_id_of_another_stream_is_refused(console, last_id):
    answer = await console.get("/api/tail", headers={"Last-Event-ID": last_id})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "last-event-id")


async def test_what_is_malformed_is_named(console):
    answer = await console.get("/api/tail?limit=3")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")
