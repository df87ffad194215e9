"""The console's listener against clients that mean harm: what they send is bounded, in bytes and in time."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from app.api import listener
from tests.api.conftest import TOKEN

ASK = b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"


async def connect(console) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = console.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def flood(console, begin: bytes, most_bytes: int) -> int:
    """How much of a request without end is taken."""
    _, writer = await connect(console)
    writer.write(begin)
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most_bytes:
            writer.write(b"a" * 65536)
            sent += 65536
            await writer.drain()
            await asyncio.sleep(0)
    writer.transport.abort()
    return sent


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nX"])
async def test_a_head_without_end_is_cut_off(console, begin):
    assert await flood(console, begin, 64 << 20) < 16 << 20


async def test_a_head_in_many_fields_is_cut_off(console):
    reader, writer = await connect(console)
    writer.write(b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 20_000)
    with contextlib.suppress(ConnectionError):
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_a_body_without_end_is_cut_off_with_the_right_token_too(console):
    begin = ASK[:-2].replace(b"GET /api/status", b"POST /api/tokens") + b"Content-Length: 999999999\r\n\r\n"
    assert await flood(console, begin, 64 << 20) < 16 << 20
    chunked = begin.replace(b"Content-Length: 999999999", b"Transfer-Encoding: chunked") + b"fffffff\r\n"
    assert await flood(console, chunked, 64 << 20) < 16 << 20


async def test_a_slow_head_and_a_silent_connection_end(console, monkeypatch):
    monkeypatch.setattr(listener, "HEAD_SECONDS", 0.5)
    for begin in (b"", ASK[:-2]):
        reader, writer = await connect(console)
        writer.write(begin)
        async with asyncio.timeout(10):
            for _ in range(100):
                if reader.at_eof():
                    break
                with contextlib.suppress(TimeoutError, ConnectionError):
                    await asyncio.wait_for(reader.read(1), 0.1)
                with contextlib.suppress(ConnectionError):
                    writer.write(b"X: y\r\n" if begin else b"")
            assert reader.at_eof() or reader.exception() is not None
        writer.transport.abort()


async def test_a_connection_is_kept_for_ordinary_requests(console, monkeypatch):
    monkeypatch.setattr(listener, "HEAD_SECONDS", 0.5)
    reader, writer = await connect(console)
    for _ in range(4):
        writer.write(ASK[:30])
        await asyncio.sleep(0.2)
        writer.write(ASK[30:])
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
    writer.close()


async def test_a_large_question_is_answered(console):
    answer = await console.get("/api/exchanges", headers={"X-Padding": "x" * 30_000})
    assert answer.status_code == 200
