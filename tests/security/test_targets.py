"""Tricks with paths, hosts, fields and bodies: a socket is opened to the configured upstream, and to nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.upstream import ScriptedUpstream
from tests.proxy.harness import running_proxy
from tests.security.test_smuggling import all_of, echoing

EVIL = (
    "evil.example",
    "127.0.0.1:{evil}",
    "localhost:{evil}",
    "[::1]:{evil}",
    "0x7f000001:{evil}",
    "2130706433:{evil}",
)
TARGETS = (
    *(
        "@{e}/v1/x",
        ".{e}/v1/x",
        ":443@{e}/v1/x",
        "//{e}/v1/x",
        "///{e}/v1/x",
        "http://{e}/v1/x",
        "https://{e}/v1/x",
    ),
    *(
        "http:/{e}/v1/x",
        "ftp://{e}/v1/x",
        "\\\\{e}\\v1\\x",
        "/\\{e}/v1/x",
        "/v1@{e}/x",
        "/v1/@{e}/x",
        "/v1:{e}/x",
    ),
    *(
        "/v1//{e}/x",
        "/v1/http://{e}/x",
        "/v1/https:%2f%2f{e}/x",
        "/v1/%2f%2f{e}/x",
        "/v1/..//{e}/x",
        "/v1/.%2e/{e}/x",
    ),
    *("/v1/%2e%2e/%2e%2e/{e}/x", "/v1/x?url=http://{e}/", "/v1/x?api_base=http://{e}/v1", "/v1/x?host={e}"),
    *(
        "/v1/x%00@{e}",
        "/v1/x%0d%0aHost:%20{e}",
        "/v1/x%0aHost:%20{e}",
        "/v1/x#@{e}/",
        "/v1;@{e}/x",
        "/v1/x%20HTTP/1.1%0d%0a",
    ),
    *("//{e}@/v1/x", "/%2f{e}/v1/x", "/%5c{e}/v1/x", "/v1/%5c%5c{e}/x", "/v1/\uff0f{e}/x", "/v1/\u2044{e}/x"),
)
FIELDS = (
    *(
        "Host: {e}",
        "X-Forwarded-Host: {e}",
        "X-Forwarded-Server: {e}",
        "X-Host: {e}",
        "Forwarded: host={e};proto=http",
    ),
    *(
        "X-Forwarded-For: {e}",
        "X-Real-IP: 127.0.0.1",
        "X-Original-URL: http://{e}/v1/x",
        "X-Rewrite-URL: //{e}/v1/x",
    ),
    *("X-Target-URL: http://{e}", "X-Base-URL: http://{e}", "api_base: http://{e}", "base_url: http://{e}"),
    *(
        "OpenAI-Base-URL: http://{e}",
        "Helicone-Target-URL: http://{e}",
        "Helicone-OpenAI-Api-Base: http://{e}",
    ),
    *(
        "X-Verbatim-Upstream: http://{e}",
        "x-verbatim-project: {e}",
        "Referer: http://{e}/",
        "Origin: http://{e}",
    ),
    *(
        "Via: 1.1 {e}",
        "Proxy: http://{e}",
        "Alt-Used: {e}",
        "Location: http://{e}/",
        "Refresh: 0;url=http://{e}/",
    ),
)
BODIES = (
    *('{"api_base":"http://{e}/v1"}', '{"base_url":"http://{e}/v1","model":"m"}', '{"model":"http://{e}/m"}'),
    *(
        '{"webhook":"http://{e}"}',
        '{"api_base":"{e}","url":"//{e}"}',
        '{"host":"{e}","extra_headers":{"Host":"{e}"}}',
    ),
)


class Watch:
    """Every address that a socket of this process is connected to, and every name that is looked up."""

    def __init__(self) -> None:
        self.connected: set[Any] = set()
        self.looked_up: set[Any] = set()
        self.is_on = False
        sys.addaudithook(self._on_event)  # it stays for good; it does nothing while it is off

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event == "socket.connect":
            self.connected.add(arguments[1])
        elif self.is_on and event == "socket.getaddrinfo":
            self.looked_up.add(arguments[0])

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False


@pytest.fixture(scope="module")
def watch():
    return Watch()


def requests(evil_port: int) -> list[bytes]:
    """About two hundred."""
    made: list[str] = []
    for evil in (each.format(evil=evil_port) for each in EVIL):
        made += [f"GET {target.replace('{e}', evil)} HTTP/1.1\r\nHost: p\r\n" for target in TARGETS]
    first = f"127.0.0.1:{evil_port}"
    for name in ("evil.example", first):
        for field in FIELDS:
            host = "" if field.startswith("Host:") else "Host: p\r\n"
            made.append(f"GET /v1/x HTTP/1.1\r\n{host}{field.replace('{e}', name)}\r\n")
        for body in BODIES:
            text = body.replace("{e}", name)
            made.append(
                f"POST /v1/x HTTP/1.1\r\nHost: p\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}"
            )
    return [
        text.encode()
        if "\r\n\r\n" in text
        else f"{text}Authorization: Bearer k\r\nConnection: close\r\n\r\n".encode()
        for text in made
    ]


@pytest.mark.parametrize("shell", ["fast", "plain"])
async def test_a_socket_is_opened_to_the_configured_upstream_alone(tmp_path, shell, watch):
    async with (
        ScriptedUpstream(echoing) as evil,
        ScriptedUpstream(echoing) as upstream,
        running_proxy(
            tmp_path, upstream.address(), upstream.address("other", prefix=b"/base"), shell=shell
        ) as proxy,
    ):
        turns = asyncio.Semaphore(16)

        async def ask(request: bytes) -> None:
            async with turns:
                got = await asyncio.wait_for(all_of(proxy, request), 15)
                assert got.startswith(b"HTTP/1.1 "), request
                assert b"location: " not in got.lower()

        tricks = requests(evil.port)
        assert len(tricks) >= 200
        with watch.on():
            await asyncio.gather(*(ask(each) for each in tricks))
        assert watch.connected == {("127.0.0.1", proxy.port), ("127.0.0.1", upstream.port)}
        assert watch.looked_up <= {"127.0.0.1"}
        assert not evil.connections and len(upstream.requests) >= 60
        for request in upstream.requests:
            assert request.field(b"host") == upstream.address().authority
            assert request.target.startswith(b"/v1"), request.target
        watch.connected.clear()


async def test_a_redirect_is_passed_on_and_not_followed(tmp_path, watch):
    async def redirecting(connection) -> None:
        while await connection.read_request() is not None:
            place = b"http://127.0.0.1:%d/v1/stolen" % evil.port
            await connection.send(b"HTTP/1.1 307 Go\r\nLocation: " + place + b"\r\nContent-Length: 0\r\n\r\n")

    async with ScriptedUpstream(echoing) as evil, ScriptedUpstream(redirecting) as upstream:
        async with running_proxy(tmp_path, upstream.address()) as proxy:
            request = b"GET /v1/x HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer k\r\nConnection: close\r\n\r\n"
            assert (await proxy.ask(request)).startswith(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:")
            assert not evil.connections


async def test_proxies_of_the_environment_are_not_obeyed(tmp_path, monkeypatch):
    async with ScriptedUpstream(echoing) as evil, ScriptedUpstream(echoing) as upstream:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{evil.port}")
        async with running_proxy(tmp_path, upstream.address()) as proxy:
            got = await proxy.ask(b"GET /v1/x HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n")
            assert got.endswith(b"/v1/x")
        assert not evil.connections


@pytest.mark.parametrize("shell", ["fast", "plain"])
async def test_the_proxy_says_nothing_to_pages_of_other_sites(tmp_path, shell):
    async with (
        ScriptedUpstream(echoing) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        for line in (b"GET /v1/x", b"GET /healthz", b"GET /nothing", b"OPTIONS /healthz", b"GET /v1/../x"):
            fields = b"Host: p\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n"
            got = await all_of(proxy, line + b" HTTP/1.1\r\n" + fields)
            assert b"access-control-" not in got.lower(), line
