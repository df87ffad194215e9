"""What two parsers could read differently is refused, and the connection ends: no request hides behind another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re

import pytest

from tests.fakes.upstream import ScriptedUpstream
from tests.proxy.harness import Proxy, running_proxy
from tests.security.smuggling import PLAIN_ENDS, SMUGGLING

HIDDEN = b"GET /v1/hidden HTTP/1.1\r\nHost: p\r\n\r\n"
AT_ONCE = 16
STATUS_LINE = re.compile(rb"HTTP/1\.1 \d{3} ")


async def echoing(connection) -> None:
    """Answers each request with its own target."""
    while (request := await connection.read_request()) is not None:
        await connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.target) + request.target
        )


async def all_of(proxy: Proxy, request: bytes) -> bytes:
    """All that comes until the connection ends; a client that sends on may see a reset."""
    reader, writer = await proxy.connect()
    writer.write(request)
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            got += piece
    writer.close()
    return got


@pytest.mark.parametrize("shell", ["fast", "plain"])
async def test_no_request_hides_behind_one_that_is_ambiguous(tmp_path, shell):
    async with (
        ScriptedUpstream(echoing) as upstream,
        running_proxy(
            tmp_path,
            upstream.address(),
            shell=shell,
            head_seconds=0.5,
            body_idle_seconds=0.5,
        ) as proxy,
    ):
        turns = asyncio.Semaphore(AT_ONCE)

        async def attack(number: int, payload: bytes) -> None:
            async with turns:
                if shell == "fast" or payload not in PLAIN_ENDS:
                    got = await asyncio.wait_for(all_of(proxy, payload + HIDDEN), 15)
                    check(payload, got, shell)
                # The connection to the upstream, which may be one that served before, is not out of step.
                mark = b"/v1/after-%d" % number
                plain = b"GET " + mark + b" HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n"
                assert (await all_of(proxy, plain)).endswith(b"\r\n\r\n" + mark), payload

        assert len(SMUGGLING) >= 100
        attacks = [attack(number, payload) for number, payload in enumerate(SMUGGLING)]
        faults = [each for each in await asyncio.gather(*attacks, return_exceptions=True) if each is not None]
        assert not faults, faults
        hidden = [each.raw for each in upstream.requests if b"hidden" in each.raw]
        assert not hidden
        assert all(each.body in (b"", b"a") for each in upstream.requests)


def check(payload: bytes, got: bytes, shell: str) -> None:
    assert got.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501 ")), (payload, got)
    assert len(STATUS_LINE.findall(got)) == 1, (payload, got)
    if shell == "fast":
        assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["type"] == "verbatim_error", payload
