"""Remembered heads: what is recognised is what the parser would have read."""

import asyncio

import pytest

from tests.fakes.upstream import ScriptedUpstream, answering
from tests.proxy.harness import running_proxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
INNER = b"GET /v1/smuggled HTTP/1.1\r\nHost: p\r\n\r\n"


@pytest.mark.parametrize(
    "field", [b"Content-Length: ", b"CONTENT-LENGTH: ", b"Content-Length:", b"Content-Length:\t"]
)
async def test_a_known_head_whose_body_comes_later_takes_that_body(tmp_path, field):
    head = b"POST /v1/x HTTP/1.1\r\nHost: p\r\n" + field + b"%d\r\n\r\n" % len(INNER)
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(head + INNER)
        await reader.readuntil(b"{}")
        writer.write(head)
        await asyncio.sleep(0.05)
        writer.write(INNER)
        await reader.readuntil(b"{}")
        assert [each.body for each in upstream.requests] == [INNER, INNER]
        assert [each.request for each in await proxy.ended(2)] == [INNER, INNER]
        writer.close()


@pytest.mark.parametrize("lines", [b"\r\r\n\r\n", b"\n\r\n\r\n", b"\n\n\r\n\r\n", b"\r\n\r\n"])
async def test_empty_lines_before_a_request_never_stand_for_it(tmp_path, lines):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        writers = []
        for data in (lines + b"GET /v1/x HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer a\r\n\r\n", lines):
            _reader, writer = await proxy.connect()
            writer.write(data)
            await asyncio.sleep(0.1)
            writers.append(writer)
        assert len(proxy.recorded()) <= 1
        for writer in writers:
            writer.close()
