"""A scripted upstream: a raw-socket server that runs one coroutine per connection.

    async def script(connection: Connection) -> None:
        request = await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
        connection.reset()

    async with ScriptedUpstream(script) as upstream:
        ...  # upstream.port, upstream.requests, upstream.connections

A script that returns closes its connection. What a script raises fails the test when the block ends, but for the
client's going away.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from app.proxy.upstream import Upstream

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class ReceivedRequest:
    """One request as it came: `raw` is every byte of it, `body` and `chunks` have the framing taken off."""

    raw: bytes
    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def field(self, name: bytes) -> bytes | None:
        """The first value of a header field, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Connection:
    """One accepted connection, in the hands of its script."""

    def __init__(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: ScriptedUpstream,
    ) -> None:
        self.number = number
        """Count of connections before this one."""
        self.closed = asyncio.Event()
        """Set when the script ended or closed it."""
        self._reader = reader
        self._writer = writer
        self._server = server

    async def read_request(self) -> ReceivedRequest | None:
        """The next request with its body, recorded; None if the client closed before its first byte."""
        request = await self.read_head()
        if request is not None:
            await self.read_body(request)
        return request

    async def read_head(self) -> ReceivedRequest | None:
        """The next request's head alone, recorded; `read_body` reads on."""
        try:
            raw = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        first, *lines = raw[:-4].split(b"\r\n")
        method, target, _ = first.split(b" ", 2)
        request = ReceivedRequest(raw, method, target, [_field(line) for line in lines])
        self._server.requests.append(request)
        return request

    async def read_body(self, request: ReceivedRequest) -> None:
        """The body of a request of which the head was read, by Content-Length or chunked."""
        if (request.field(b"transfer-encoding") or b"").lower() == b"chunked":
            while await self._read_chunk(request):
                continue
        elif (length := request.field(b"content-length")) is not None:
            request.body = await self._reader.readexactly(int(length))
            request.raw += request.body

    async def _read_chunk(self, request: ReceivedRequest) -> bool:
        line = await self._reader.readuntil(b"\r\n")
        request.raw += line
        if size := int(line, 16):
            data = await self._reader.readexactly(size + 2)
            request.raw += data
            request.chunks.append(data[:-2])
            request.body += data[:-2]
            return True
        while (line := await self._reader.readuntil(b"\r\n")) != b"\r\n":
            request.raw += line
            request.trailers.append(_field(line[:-2]))
        request.raw += line
        return False

    async def read_some(self) -> bytes:
        """Whatever comes next; empty at the end."""
        return await self._reader.read(65536)

    async def read_to_end(self) -> str:
        """Reads until the client ends: `eof` or `reset`."""
        try:
            while await self._reader.read(65536):
                continue
        except ConnectionError:
            return "reset"
        return "eof"

    async def send(self, *pieces: bytes) -> None:
        """Sends the pieces so that a client in this process reads them one by one."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            if len(pieces) > 1:
                # The other end runs on the same loop: three turns let it read before more is written.
                for _ in range(3):
                    await asyncio.sleep(0)

    def half_close(self) -> None:
        """Sends FIN and goes on reading."""
        self._writer.write_eof()

    def close(self) -> None:
        """Sends what is buffered, then FIN."""
        self.closed.set()
        self._writer.close()

    def reset(self) -> None:
        """Sends RST."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.closed.set()
        self._writer.transport.abort()

    async def stall(self) -> None:
        """Does nothing, without reading, until the server stops."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.get_running_loop().create_future()


Script = Callable[[Connection], Awaitable[None]]


class ScriptedUpstream:
    """The server; records every request and counts connections. `tls` makes it speak HTTPS."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.port = 0
        self.requests: list[ReceivedRequest] = []
        self.connections: list[Connection] = []
        self._script = script
        self._tls = tls
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []

    def address(self, name: str = "v1", host: str | None = None, prefix: bytes = b"") -> Upstream:
        """This server as a configured upstream."""
        return Upstream(name, "https" if self._tls else "http", host or self._host, self.port, prefix)

    async def __aenter__(self) -> ScriptedUpstream:
        self._server = await asyncio.start_server(self._run, self._host, 0, ssl=self._tls, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)
        if self._errors:
            raise self._errors[0]

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Connection(len(self.connections), reader, writer, self)
        self.connections.append(connection)
        try:
            await self._script(connection)
            connection.close()
            await writer.wait_closed()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            connection.close()  # the client went away, as many tests make it do
        except asyncio.CancelledError:
            writer.transport.abort()
        except BaseException as error:  # noqa: BLE001 - root of a script: any fault fails the test
            self._errors.append(error)
            writer.transport.abort()
        finally:
            connection.closed.set()
            self._tasks.discard(task)


def answering(*answers: bytes) -> Script:
    """A script that gives these answers to the requests of a connection in turn, the last one again and again."""

    async def script(connection: Connection) -> None:
        number = 0
        while await connection.read_request() is not None:
            await connection.send(answers[min(number, len(answers) - 1)])
            number += 1

    return script


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certificate authority made for one test: the server's side, and the file that a client trusts."""

    server: ssl.SSLContext
    ca_file: str


def make_certificates(directory: Path, *names: str) -> Certificates:
    """A server certificate for these host names and addresses (`localhost` if none is given)."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("localhost",))).configure_cert(server)
    path = directory / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return Certificates(server, str(path))


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")
