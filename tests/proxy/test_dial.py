"""Connections to real listeners: addresses raced, TLS verified, failures named, no socket left."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import ConfigError
from app.proxy.dial import DialError, dial, make_tls_context
from app.proxy.pool import UpstreamPool
from app.proxy.upstream import FailureKind, Upstream
from app.telemetry.tasks import spawn
from tests.fakes.handler import KeepingHandler, eventually
from tests.fakes.upstream import Certificates, Connection, ScriptedUpstream, answering, make_certificates

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Seen(asyncio.Protocol):
    """Keeps its transport."""

    transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), "localhost")


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose listener takes no more connections, so that connecting hangs."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    yield listener.getsockname()[1]
    for each in (*fillers, listener):
        each.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def connect(
    upstream: Upstream, tls: ssl.SSLContext | None = None, timeout_seconds: float = 10.0
) -> Seen:
    """Dials and closes."""
    seen = Seen()
    await dial(upstream, seen, tls=tls, timeout_seconds=timeout_seconds)
    assert seen.transport is not None
    return seen


async def failure(
    upstream: Upstream, tls: ssl.SSLContext | None = None, timeout_seconds: float = 10.0
) -> FailureKind:
    """How dialing fails; its detail is one line that says where."""
    files = open_files()
    with pytest.raises(DialError) as caught:
        await connect(upstream, tls, timeout_seconds)
    told = caught.value.failure
    assert told.detail.startswith(f"{upstream.host}:{upstream.port} ")
    assert "\n" not in told.detail
    await eventually(lambda: open_files() <= files)
    return told.kind


async def test_small_writes_are_not_held_back() -> None:
    async with ScriptedUpstream(answering(HI)) as upstream:
        seen = await connect(upstream.address())
        assert seen.transport is not None
        raw = seen.transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        seen.transport.abort()


async def test_a_closed_port_is_refused() -> None:
    assert await failure(Upstream("v1", "http", "127.0.0.1", free_port())) is FailureKind.REFUSED


async def test_a_name_that_does_not_resolve_is_a_matter_of_dns() -> None:
    assert await failure(Upstream("v1", "http", "no-such-host.invalid", 80)) is FailureKind.DNS
    assert await failure(Upstream("v1", "http", "a" * 70 + ".invalid", 80)) is FailureKind.DNS


async def test_a_connection_that_does_not_come_about_times_out(full_port: int) -> None:
    upstream = Upstream("v1", "http", "127.0.0.1", full_port)
    assert await failure(upstream, timeout_seconds=0.2) is FailureKind.CONNECT_TIMEOUT


async def test_a_handshake_that_stalls_times_out(certificates: Certificates) -> None:
    async def script(connection: Connection) -> None:
        await connection.read_to_end()

    async with ScriptedUpstream(script) as upstream:
        address = Upstream("v1", "https", "localhost", upstream.port)
        tls = make_tls_context(certificates.ca_file)
        assert await failure(address, tls, timeout_seconds=0.2) is FailureKind.CONNECT_TIMEOUT


async def test_cancelling_leaves_no_socket(full_port: int, certificates: Certificates) -> None:
    async def script(connection: Connection) -> None:
        await connection.read_to_end()

    async with ScriptedUpstream(script) as upstream:
        files = open_files()
        for address in (
            Upstream("v1", "http", "127.0.0.1", full_port),
            Upstream("v1", "http", "127.0.0.1", upstream.port),
            Upstream("v1", "https", "localhost", upstream.port),
        ):
            for turns in range(12):
                attempt = spawn(connect(address, make_tls_context(certificates.ca_file)), name="attempt")
                for _ in range(turns):
                    await asyncio.sleep(0)
                attempt.cancel()
                for seen in await asyncio.gather(attempt, return_exceptions=True):
                    if isinstance(seen, Seen) and seen.transport is not None:
                        seen.transport.abort()
        await eventually(lambda: open_files() <= files)


async def test_the_next_address_is_tried_when_one_is_refused(dialled_names: dict[str, list[Any]]) -> None:
    async with ScriptedUpstream(answering(HI)) as upstream:
        dialled_names["two.test"] = [
            (socket.AF_INET, ("127.0.0.1", free_port())),
            (socket.AF_INET, ("127.0.0.1", upstream.port)),
        ]
        seen = await connect(Upstream("v1", "http", "two.test", upstream.port))
        assert seen.transport is not None
        seen.transport.abort()


async def test_an_address_that_hangs_holds_up_a_quarter_of_a_second(
    dialled_names: dict[str, list[Any]], full_port: int
) -> None:
    async with ScriptedUpstream(answering(HI)) as upstream:
        dialled_names["hangs.test"] = [
            (socket.AF_INET, ("127.0.0.1", full_port)),
            (socket.AF_INET, ("127.0.0.1", upstream.port)),
        ]
        files = open_files()
        began = time.monotonic()
        seen = await connect(Upstream("v1", "http", "hangs.test", upstream.port))
        assert 0.2 < time.monotonic() - began < 5
        assert seen.transport is not None
        seen.transport.abort()
        await eventually(lambda: open_files() <= files)


async def test_families_take_turns(dialled_names: dict[str, list[Any]]) -> None:
    # Three IPv6 addresses come first, IPv4 is tried second: it takes one step, not three.
    async with ScriptedUpstream(answering(HI)) as upstream:
        hanging = (socket.AF_INET6, ("100::1", 9, 0, 0))
        dialled_names["mixed.test"] = [hanging] * 3 + [(socket.AF_INET, ("127.0.0.1", upstream.port))]
        seen = await connect(Upstream("v1", "http", "mixed.test", upstream.port))
        assert seen.transport is not None
        seen.transport.abort()


async def test_when_every_address_fails_the_reasons_are_told(dialled_names: dict[str, list[Any]]) -> None:
    dialled_names["dead.test"] = [(socket.AF_INET, ("127.0.0.1", free_port()))] * 2
    assert await failure(Upstream("v1", "http", "dead.test", 1)) is FailureKind.REFUSED
    dialled_names["none.test"] = []
    assert await failure(Upstream("v1", "http", "none.test", 1)) is FailureKind.CONNECT
    dialled_names["odd.test"] = [
        (socket.AF_INET, ("255.255.255.255", 9)),
        (socket.AF_INET, ("127.0.0.1", free_port())),
    ]
    assert await failure(Upstream("v1", "http", "odd.test", 1)) is FailureKind.CONNECT


@pytest.fixture
async def dialled_names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Names and the addresses that they resolve to, as an `/etc/hosts` of the test's own."""
    names: dict[str, list[Any]] = {}

    async def resolve(host: str, port: int, *, type: int) -> list[Any]:
        return [(family, type, socket.IPPROTO_TCP, "", address) for family, address in names[host]]

    loop = asyncio.get_running_loop()

    class NamedLoop:
        """The loop with this resolver; uvloop's methods cannot be replaced."""

        def __getattr__(self, name: str) -> Any:
            return resolve if name == "getaddrinfo" else getattr(loop, name)

    monkeypatch.setattr("app.proxy.dial.asyncio.get_running_loop", NamedLoop)
    return names


async def exchange_over_tls(
    upstream: ScriptedUpstream, tls: ssl.SSLContext | None, host: str
) -> KeepingHandler:
    pool = UpstreamPool(tls=tls)
    handler = KeepingHandler()
    for _ in range(2):
        handler = KeepingHandler()
        pool.start(
            upstream.address(host=host), b"GET", b"GET / HTTP/1.1\r\n\r\n", chunked=False, handler=handler
        ).finish([])
        await eventually(handler.ended.is_set)
    if handler.failure is None:
        assert (pool.opened, pool.reused) == (1, 1)
    await pool.aclose()
    assert pool.open == 0
    return handler


async def test_an_exchange_goes_over_tls_with_a_private_authority(certificates: Certificates) -> None:
    async with ScriptedUpstream(answering(HI), tls=certificates.server) as upstream:
        handler = await exchange_over_tls(upstream, make_tls_context(certificates.ca_file), "localhost")
        assert handler.body == b"hi", handler.failure


async def test_a_certificate_of_an_unknown_authority_is_refused(certificates: Certificates) -> None:
    async with ScriptedUpstream(answering(HI), tls=certificates.server) as upstream:
        address = upstream.address(host="localhost")
        assert await failure(address, make_tls_context(None)) is FailureKind.TLS
        handler = await exchange_over_tls(upstream, make_tls_context(None), "localhost")
        assert handler.failure is not None
        assert "UPSTREAM_CA" in handler.failure.detail


async def test_a_certificate_for_another_name_is_refused(certificates: Certificates) -> None:
    async with ScriptedUpstream(answering(HI), tls=certificates.server) as upstream:
        tls = make_tls_context(certificates.ca_file)
        assert await failure(upstream.address(host="127.0.0.1"), tls) is FailureKind.TLS


async def test_an_upstream_that_speaks_no_tls_is_named(certificates: Certificates) -> None:
    async def script(connection: Connection) -> None:
        await connection.read_some()
        await connection.send(HI)

    async with ScriptedUpstream(script) as upstream:
        address = Upstream("v1", "https", "localhost", upstream.port)
        assert await failure(address, make_tls_context(certificates.ca_file)) is FailureKind.TLS
        assert await failure(address) is FailureKind.TLS


async def test_a_reset_within_the_handshake_is_a_failure_to_connect(certificates: Certificates) -> None:
    async def script(connection: Connection) -> None:
        await connection.read_some()
        connection.reset()

    async with ScriptedUpstream(script) as upstream:
        address = Upstream("v1", "https", "localhost", upstream.port)
        assert await failure(address, make_tls_context(certificates.ca_file)) is FailureKind.CONNECT


def test_tls_is_never_weak(certificates: Certificates) -> None:
    for ca_file in (None, certificates.ca_file):
        context = make_tls_context(ca_file)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_an_authority_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path in (tmp_path / "missing.pem", empty):
        with pytest.raises(ConfigError, match=f"UPSTREAM_CA={path}"):
            make_tls_context(str(path))
