"""Makes connections to upstreams: DNS, addresses raced by hand, TLS, all within one deadline.

uvloop's `create_connection` tries addresses one after another; here the next one starts 250 ms after the last
(RFC 8305), families taking turns. Whatever happens, every socket but the winner's is closed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Protocol

from app.errors import ConfigError, VerbatimError
from app.proxy.upstream import FailureKind, Upstream, UpstreamFailure
from app.telemetry.tasks import spawn

STAGGER_SECONDS = 0.25

Address = tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""Family and socket address, as getaddrinfo gives them."""


class DialError(VerbatimError):
    """The upstream cannot be reached; see what follows."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(detail)
        self.failure = UpstreamFailure(kind, detail)


class Dial(Protocol):
    """How the pool makes a connection; one that goes through a CONNECT proxy would be another of these."""

    async def __call__(
        self,
        upstream: Upstream,
        protocol: asyncio.Protocol,
        *,
        tls: ssl.SSLContext | None,
        timeout_seconds: float,
    ) -> None:
        """Returns after `protocol.connection_made`, or raises DialError; leaves no socket if it is cancelled."""


def make_tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Verifies against the system's authorities, or those in the PEM file; TLS 1.2 and up, HTTP/1.1."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if type(error) is not ssl.SSLError else "no certificate in it"
        raise ConfigError(
            f"UPSTREAM_CA={ca_file}: {reason}; name a readable PEM file of certificates"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(
    upstream: Upstream, protocol: asyncio.Protocol, *, tls: ssl.SSLContext | None, timeout_seconds: float
) -> None:
    """Connects `protocol` to the upstream (Dial)."""
    where = f"{upstream.host}:{upstream.port}"
    if upstream.scheme == "https" and tls is None:
        raise DialError(FailureKind.TLS, f"{where} needs TLS, for which nothing is set up")
    try:
        async with asyncio.timeout(timeout_seconds):
            connected = await _race(where, await _resolve(upstream))
            await _attach(upstream, protocol, connected, tls, timeout_seconds)
    except TimeoutError as error:
        raise DialError(
            FailureKind.CONNECT_TIMEOUT,
            f"{where} could not be connected to within {timeout_seconds:g} s; check the network and its firewall",
        ) from error
    except ssl.SSLError as error:
        raise DialError(FailureKind.TLS, _tls_detail(where, error)) from error
    except OSError as error:
        raise DialError(
            FailureKind.CONNECT, f"{where} ended the connection while it was made: {_reason(error)}"
        ) from error


async def _resolve(upstream: Upstream) -> list[Address]:
    """The host's addresses, families taking turns, the resolver's favourite first."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "no valid name"
        raise DialError(
            FailureKind.DNS,
            f"{upstream.host}:{upstream.port} has no address ({reason}); check the upstream's name and DNS",
        ) from error
    by_family: dict[int, list[Address]] = {}
    for family, _, _, _, address in found:
        by_family.setdefault(family, []).append((family, address))
    lists = list(by_family.values())
    longest = max(map(len, lists), default=0)
    return [each[turn] for turn in range(longest) for each in lists if turn < len(each)]


async def _race(where: str, addresses: list[Address]) -> socket.socket:
    """The first connection that stands; raises DialError if none does."""
    waiting = addresses[::-1]
    attempts: list[asyncio.Task[socket.socket | OSError]] = []
    pending: set[asyncio.Task[socket.socket | OSError]] = set()
    errors: list[OSError] = []
    winner: socket.socket | None = None
    try:
        while winner is None and (waiting or pending):
            if waiting:
                attempts.append(spawn(_connect(waiting.pop()), name="upstream_dial"))
                pending.add(attempts[-1])
            done, pending = await asyncio.wait(
                pending,
                timeout=STAGGER_SECONDS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                result = task.result()
                if isinstance(result, OSError):
                    errors.append(result)
                else:
                    winner = winner or result
    finally:
        for task in attempts:
            task.cancel()
            task.add_done_callback(lambda each: _close_loser(each, winner))
    if winner is None:
        raise _refusal(where, errors)
    return winner


def _close_loser(task: asyncio.Task[socket.socket | OSError], winner: socket.socket | None) -> None:
    result = None if task.cancelled() else task.result()
    if isinstance(result, socket.socket) and result is not winner:
        result.close()


async def _connect(address: Address) -> socket.socket | OSError:
    """One attempt; its error is a value, since a loser's error is no failure of a task."""
    family, where = address
    try:
        attempt = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        return error
    try:
        attempt.setblocking(False)
        attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(attempt, where)
    except OSError as error:
        attempt.close()
        return error
    except BaseException:
        attempt.close()
        raise
    return attempt


async def _attach(
    upstream: Upstream,
    protocol: asyncio.Protocol,
    connected: socket.socket,
    tls: ssl.SSLContext | None,
    timeout_seconds: float,
) -> None:
    """Gives the socket to the protocol, after the TLS handshake if there is one."""
    loop = asyncio.get_running_loop()
    try:
        if upstream.scheme == "https":
            await loop.create_connection(
                lambda: protocol,
                sock=connected,
                ssl=tls,
                server_hostname=upstream.host,
                ssl_handshake_timeout=timeout_seconds,
            )
        else:
            await loop.create_connection(lambda: protocol, sock=connected)
    except BaseException:
        connected.close()
        raise


def _refusal(where: str, errors: list[OSError]) -> DialError:
    if errors and all(isinstance(each, ConnectionRefusedError) for each in errors):
        return DialError(FailureKind.REFUSED, f"{where} refused the connection; check that it is up")
    if errors and all(isinstance(each, TimeoutError) for each in errors):
        return DialError(
            FailureKind.CONNECT_TIMEOUT, f"{where} does not answer; check the network and its firewall"
        )
    reasons = ", ".join(sorted({_reason(each) for each in errors})) or "it has no address"
    return DialError(FailureKind.CONNECT, f"{where} cannot be reached: {reasons}; check the network")


def _tls_detail(where: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"{where} has a certificate that is not trusted ({error.verify_message}); "
            "if its authority is private, name it in UPSTREAM_CA"
        )
    reason = (error.reason or "handshake failed").replace("_", " ").lower()
    return f"{where} made no TLS connection ({reason}); check that it speaks HTTPS"


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
