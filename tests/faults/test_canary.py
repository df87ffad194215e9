"""A key that is sent everywhere is found nowhere: no file, table, log line or metric."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from pathlib import Path

import asyncpg
import pytest

from app.store.slices.pieces import Coder
from tests.fakes.upstream import ScriptedUpstream, answering
from tests.product import Product, running_product

CANARY = b"sk-canary-4f9a1c7e2b8d6a305f1e"
ECHO = (
    b"HTTP/1.1 401 Bad key " + CANARY + b"\r\nSet-Cookie: s=" + CANARY + b"\r\nX-Echo: " + CANARY + b"\r\n"
    b"Location: https://u:"
    + CANARY
    + b"@host/p?key="
    + CANARY
    + b"\r\nContent-Type: text/plain; key="
    + CANARY
    + b"\r\n"
    b"WWW-Authenticate: Bearer " + CANARY + b"\r\nContent-Length: 2\r\n\r\nno"
)
FIELDS = (
    b"Authorization: Bearer ",
    b"Authorization: Basic ",
    b"Proxy-Authorization: Bearer ",
    b"api-key: ",
    b"X-Api-Key: ",
    b"Cookie: session=",
    b"User-Agent: agent/",
    b"OpenAI-Organization: ",
    b"X-Client-Request-Id: ",
    b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.",
    b"x-verbatim-user: ",
    b"x-verbatim-tag-a: ",
    b"x-verbatim-conversation: ",
    b"Referer: https://host/?key=",
    b"X-Unknown: ",
)
QUERIES = (
    b"key=",
    b"api_key=",
    b"token=",
    b"sig=",
    b"access_token=",
    b"anything=",
    b"",
    b"metadata[k]=",
    b"model=",
)
BROKEN = (
    b"GET http://user:" + CANARY + b"@evil.example/v1/x HTTP/1.1\r\nHost: p\r\n\r\n",
    b"GET /v1/../" + CANARY + b" HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer " + CANARY + b"\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: " + CANARY + b"/\r\nAuthorization: Bearer " + CANARY + b"\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: p\r\nX: \x00" + CANARY + b"\r\n\r\n",
    b"GET /v1/realtime?api_key="
    + CANARY
    + b" HTTP/1.1\r\nHost: p\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET /nowhere/" + CANARY + b" HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n",
    b"GET /gone/v1/x?key="
    + CANARY
    + b" HTTP/1.1\r\nHost: p\r\nConnection: close\r\nAuthorization: Bearer "
    + CANARY,
    CANARY + b"\r\n\r\n",
)


async def ask(port: int, request: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request if request.endswith(b"\r\n\r\n") else request + b"\r\n\r\n")
    # A refusal may end in a reset.
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


@pytest.mark.timeout(120)
async def test_a_canary_key_is_in_no_file_table_log_or_metric(tmp_path, database_url):
    async with ScriptedUpstream(answering(ECHO)) as gone:
        nobody = f"http://127.0.0.1:{gone.port}"
    async with (
        ScriptedUpstream(answering(ECHO)) as upstream,
        running_product(
            tmp_path / "data",
            upstream=f"http://127.0.0.1:{upstream.port}",
            upstreams=f"gone={nobody}",
            database_url=database_url,
            log_level="debug",
        ) as product,
    ):
        end = b"Connection: close\r\n\r\n"
        for field in FIELDS:
            await ask(
                product.port, b"GET /v1/models HTTP/1.1\r\nHost: p\r\n" + field + CANARY + b"\r\n" + end
            )
        key = b"Authorization: Bearer " + CANARY + b"\r\n"
        for query in QUERIES:
            await ask(
                product.port, b"GET /v1/models?" + query + CANARY + b" HTTP/1.1\r\nHost: p\r\n" + key + end
            )
        for request in BROKEN:
            await ask(product.port, request)
        assert sum(CANARY in request.raw for request in upstream.requests) >= 20
        await product.exchanges(len(FIELDS) + len(QUERIES))
        await _check_pages(product)
        await _check_files(product.data_dir.parent)
    await _check_files(tmp_path)
    await _check_tables(database_url)


async def _check_pages(product: Product) -> None:
    for row in await product.exchanges(0):
        assert CANARY not in await asyncio.to_thread(product.get, f"/api/exchanges/{row['id']}")
    for base in (product.proxy_url, product.console_url):
        answer = await asyncio.to_thread(urllib.request.urlopen, f"{base}/metrics")
        with answer:
            assert CANARY not in answer.read()


async def _check_files(folder: Path) -> None:
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert files
    for file in files:
        try:
            assert CANARY not in file.read_bytes(), file
        except FileNotFoundError:
            continue  # a segment that was let go meanwhile


async def _check_tables(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        rows = 0
        for name in names:
            for row in await connection.fetch(f'SELECT t::text AS whole FROM "{name["relname"]}" t'):
                rows += 1
                assert CANARY.decode() not in row["whole"], name
        assert rows > 20
        coder = Coder()
        for piece in await connection.fetch("SELECT node, parent, raw_bytes, coding, data FROM pieces"):
            assert CANARY not in coder.decode(*piece.values())
    finally:
        await connection.close()
