"""What stands on both ends of a window: the upstream answers whole requests only, and the usual way passes on all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench import peers, streams, upstream
from bench.payloads import (
    BURST,
    LARGE,
    PACED,
    answer_body,
    numbered,
    request_parts,
    stream_events,
    unchunked,
)

SPACING_SECONDS = 0.001
HERE = "127.0.0.1"


async def _answer(port: int, request: bytes, cut: int | None = None) -> bytes:
    """The whole answer to a request, sent in two pieces where it is cut."""
    reader, writer = await asyncio.open_connection(HERE, port)
    try:
        writer.write(request[:cut])
        if cut is not None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)
            writer.write(request[cut:])
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        if b"chunked" in head:
            body = await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 10)
            return unchunked(head + body) or b""
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return await asyncio.wait_for(reader.readexactly(length), 10)
    finally:
        writer.close()


@pytest.mark.parametrize("cut", [10, -1])
async def test_the_upstream_answers_when_a_request_is_whole(cut: int) -> None:
    large = numbered(request_parts(HERE, stream=False, upstream=LARGE, body_bytes=300_000), 1)
    burst = numbered(request_parts(HERE, stream=True, upstream=BURST), 2)
    async with upstream.running(SPACING_SECONDS) as running:
        assert await _answer(running.ready_port, large, cut) == answer_body()
        assert await _answer(running.ready_port, burst, cut) == b"".join(stream_events())


async def test_the_usual_way_passes_whole_answers_and_streams_on(tmp_path: Path) -> None:
    async with upstream.running(SPACING_SECONDS) as running:
        forwarder = peers.running_usual(tmp_path, running.ready_port, running.paced_port)
        async with forwarder as (port, pid):
            assert pid
            assert await _answer(port, numbered(request_parts(HERE, stream=False), 1)) == answer_body()
            result = await streams.run(
                port,
                request_parts(HERE, stream=True, upstream=PACED),
                b"".join(stream_events()),
                streams=2,
                rounds=2,
                spacing_seconds=SPACING_SECONDS,
                start=1,
            )
    assert (result.streams, result.whole) == (4, 4)
    assert len(result.first_byte_ms) == 4


async def test_a_peer_that_does_not_start_says_why(tmp_path: Path) -> None:
    program = tmp_path / "litellm"
    program.write_text("#!/bin/sh\necho no model here\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(RuntimeError, match="no model here"):
        async with peers.running_litellm(program, tmp_path, 9):
            raise AssertionError
