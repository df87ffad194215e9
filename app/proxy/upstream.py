"""What an upstream is, and the words in which the pool speaks with its caller.

Values and Protocols only. `pool.py` implements `UpstreamCall`, `flow.py` and `transport.py` implement
`ResponseHandler`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

SWITCHING_PROTOCOLS = 101
Headers = list[tuple[bytes, bytes]]
"""Header fields as they stood on the wire: order, duplicates and case kept; names and values are raw bytes."""


@dataclass(frozen=True)
class Upstream:
    """A configured upstream: where its connections go and what is put before the client's path."""

    name: str
    """First path segment under which clients reach it; the default upstream is `v1`."""
    scheme: str
    """`http` or `https`."""
    host: str
    port: int
    prefix: bytes = b""
    """Path of the base URL, put raw before the client's raw target: `/openai` or empty. Never ends in a slash."""

    @cached_property
    def authority(self) -> bytes:
        """The value of the `Host` field: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return (host if self.port == default else f"{host}:{self.port}").encode("ascii")

    @cached_property
    def url(self) -> str:
        """The base URL, as records name it: `https://api.openai.com`."""
        return f"{self.scheme}://{self.authority.decode()}{self.prefix.decode('latin-1')}"


class FailureKind(enum.Enum):
    """Why an upstream call has no whole answer."""

    DNS = "dns"
    REFUSED = "refused"
    TLS = "tls"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT = "connect"
    """Any other failure to connect (unreachable network, reset during the handshake)."""
    RESET = "reset"
    """The connection was reset while the request or the answer was under way."""
    CLOSED = "closed"
    """The connection ended cleanly but before the answer did."""
    MALFORMED = "malformed"
    """The answer is not HTTP, or its framing contradicts itself."""
    INTERNAL = "internal"
    """A fault of our own in connecting or in a handler; reported where it was caught."""


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """A failed call; `detail` is one line for people, made by us, free of client bytes and credentials."""

    kind: FailureKind
    detail: str


class StatusLine:
    """The first line of an answer; shared by all answers that begin so."""

    __slots__ = ("kept", "reason", "sent", "status", "version")

    def __init__(self, status: int, reason: bytes, version: bytes) -> None:
        self.status = status
        self.reason = reason
        self.version = version
        """`1.0` or `1.1`."""
        self.sent = b"HTTP/1.1 %d %s" % (status, reason)
        """As clients get it, without the line break."""
        self.kept = b""
        """As the journal keeps it; empty until it was asked for."""


class HeadLine:
    """One field of an answer's head, and what it means; shared by all answers that have the same line."""

    __slots__ = ("is_framing", "is_special", "kept", "length_bytes", "name", "passes", "raw", "value")

    def __init__(self, name: bytes, value: bytes, raw: bytes, *, passes: bool) -> None:
        self.name = name
        self.value = value
        self.raw = raw
        """The whole line, without its break."""
        self.passes = passes
        """It goes on to the client."""
        self.length_bytes: int | None = None
        """The value of `Content-Length`."""
        self.is_framing = False
        """It says where the body ends: `Content-Length`, or `Transfer-Encoding: chunked`."""
        self.is_special = not passes
        """There is more to do about it than to pass it on."""
        self.kept = b""
        """As the journal keeps it; empty until it was asked for."""


class ResponseHead:
    """Head of the final answer as it came."""

    __slots__ = ("bodyless", "chunked", "length_bytes", "lines", "passed", "raw", "status_line")

    def __init__(
        self,
        status_line: StatusLine,
        lines: list[HeadLine],
        passed: list[bytes],
        raw: bytes,
        length_bytes: int | None,
        chunked: bool,
        bodyless: bool,
    ) -> None:
        self.status_line = status_line
        self.lines = lines
        self.passed = passed
        """The lines that go on to the client, without line breaks."""
        self.raw = raw
        """All that came, for those who look for a secret in it."""
        self.length_bytes = length_bytes
        """Declared `Content-Length`, or None where the body is chunked, ends with the connection, or is absent."""
        self.chunked = chunked
        self.bodyless = bodyless
        """True for answers to HEAD and for 204 and 304, whatever their headers declare."""

    @property
    def status(self) -> int:
        """The status code."""
        return self.status_line.status

    @property
    def headers(self) -> Headers:
        """The fields as they came."""
        return [(line.name, line.value) for line in self.lines]


class ResponseHandler(Protocol):
    """What one upstream call tells its caller, on the event loop, in this order; nothing after complete or failed."""

    def on_sent(self) -> None:
        """A connection is there and the request head was written to it (again after a retry)."""

    def on_retry(self, detail: str) -> None:
        """A kept-alive connection had ended before any byte of an answer; the request goes to a fresh one."""

    def on_informational(self, status: int, reason: bytes, headers: Headers) -> None:
        """A 1xx answer other than 101."""

    def on_head(self, head: ResponseHead) -> None:
        """The final head."""

    def on_data(self, data: bytes) -> None:
        """Body bytes, transfer framing taken off; at most one call for one read of the socket."""

    def on_complete(self, trailers: Headers) -> None:
        """The answer is whole."""

    def on_failed(self, failure: UpstreamFailure) -> None:
        """The answer is not whole and nothing more will come."""

    def on_flush(self) -> None:
        """All events of one read were told: what was gathered can be written now. Also after on_failed."""

    def on_upload_paused(self) -> None:
        """The upstream takes no more request bytes for now: stop sending."""

    def on_upload_resumed(self) -> None:
        """Request bytes may be sent again."""


class UpstreamCall(Protocol):
    """One request on its way; every method is synchronous and harmless after the call has ended."""

    def send(self, data: bytes) -> None:
        """Sends request body bytes, chunk-framed if the call was started as chunked."""

    def finish(self, trailers: Headers) -> None:
        """Ends the request body."""

    def pause_reading(self) -> None:
        """Stops reading the answer (the client is slow)."""

    def resume_reading(self) -> None:
        """Reads on."""

    def cancel(self) -> None:
        """Nobody wants the answer: closes the connection at once, connecting or not; no handler call follows."""


class UpstreamClient(Protocol):
    """Starts calls."""

    def start(
        self,
        upstream: Upstream,
        method: bytes,
        head: bytes,
        body: bytes = b"",
        *,
        chunked: bool,
        is_whole: bool = False,
        upgrades: bool = False,
        handler: ResponseHandler,
    ) -> UpstreamCall:
        """Sends `head` (request line and fields, complete with the empty line) and what there is of the body.

        `is_whole` says that nothing follows it; `upgrades`, that the upstream may answer 101, and all that either side
        sends then passes as it comes, until the connection ends. Never raises, never blocks. On an idle connection
        both are written, and `handler.on_sent` called, before this returns; nothing else is.
        """
