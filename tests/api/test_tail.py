"""`/api/tail` over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from app.api import tail
from app.telemetry.tasks import spawn
from tests.api.conftest import TOKEN
from tests.product import running_product
from tests.store.samples import record
from tests.store.search.corpus import saying


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


async def test_a_client_that_takes_nothing_is_left_and_misses_nothing(console, monkeypatch):
    monkeypatch.setattr(tail, "SEND_SECONDS", 0.5)
    sent = [record(tags={"long": "x" * 2000}) for _ in range(4_000)]
    before = (await take_nothing(console)).splitlines()
    start = next(line.removeprefix("id: ") for line in before if line.startswith("id: "))
    for at in range(0, len(sent), 500):
        await console.ingest.deliver(sent[at : at + 500])
    taken = re.findall(r"^id: (\S+)\ndata: (?=.*\}$)", await take_nothing(console, start, 2.0), re.MULTILINE)
    assert 0 < len(taken) < len(sent)
    rest = await take(console, len(sent) - len(taken), last_id=taken[-1])
    assert len({json.loads(each["data"])["id"] for each in rest}) == len(sent) - len(taken)
    assert taken[-1] not in {each["id"] for each in rest}


async def take_nothing(console, last_id: str = "", idle_seconds: float = 0.0) -> str:
    """What came before the connection was cut, for a client that reads only after a while."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        port = int(console.url.rpartition(":")[2])
        await asyncio.to_thread(client.connect, ("127.0.0.1", port))
        head = f"GET /api/tail HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        await asyncio.to_thread(client.sendall, f"{head}Last-Event-ID: {last_id}\r\n\r\n".encode())
        await asyncio.sleep(idle_seconds or 0.5)
        client.settimeout(0.5)
        return await asyncio.to_thread(read_all, client)


def read_all(client: socket.socket) -> str:
    pieces: list[bytes] = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except (TimeoutError, ConnectionResetError):
        assert pieces
    return b"".join(pieces).decode()


@pytest.mark.parametrize(("query", "param"), [("limit=3", "limit"), ('q="open', "q"), ("q=", "q")])
async def test_what_is_malformed_is_named(console, query, param):
    answer = await console.get(f"/api/tail?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_tail_takes_words(console):
    ready = asyncio.Event()
    following = spawn(take(console, 2, "?q=katze", ready=ready), name="follow")
    await ready.wait()
    sent = [saying("Wo ist die Katze?"), saying("龙猫"), saying("x", "Katzen!")]
    for each in sent:
        await console.ingest.deliver([each])
    found = [json.loads(each["data"])["id"] for each in await following]
    assert found == [str(uuid.UUID(bytes=sent[at].id)) for at in (0, 2)]


async def test_a_console_that_stops_ends_its_tails_properly(database_url, tmp_path):
    async with running_product(
        tmp_path / "data", "console", wait_for="console", database_url=database_url
    ) as product:
        headers = {"Authorization": f"Bearer {product.token}"}
        async with (
            httpx.AsyncClient(base_url=product.console_url, headers=headers) as client,
            client.stream("GET", "/api/tail") as answer,
        ):
            stopping = spawn(product.stop(), name="stop")
            # Cut, it would raise.
            lines = [line async for line in answer.aiter_lines()]
            assert lines[0] == "retry: 1000"
            assert await stopping == 0
