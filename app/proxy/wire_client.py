"""The client of the fast shell: answers as bytes on its connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Protocol

from app.proxy.headers import RequestHead
from app.proxy.upstream import Headers, ResponseHead
from app.proxy.wire import chunk_bytes, head_bytes, last_chunk_bytes

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(Protocol):
    """What the client needs of its connection."""

    transport: asyncio.Transport

    def settle_close(self) -> bool:
        """True where no request after the running one will be answered here; once told, it stays so."""

    def on_answered(self, *, is_broken: bool) -> None:
        """The answer was handed to the transport, whole or broken."""

    def pause_upload(self) -> None:
        """Reads no more of the request for now."""

    def resume_upload(self) -> None:
        """Reads more of the request."""


class WireClient:
    """Frames one answer (ClientSide); the body is as long as declared, or chunked, or for HTTP/1.0 ends with the
    connection."""

    __slots__ = (
        "_connection",
        "_ends_with_close",
        "_is_broken",
        "_is_chunked",
        "_is_finished",
        "_out",
        "_request",
    )

    def __init__(self, connection: Connection, request: RequestHead) -> None:
        self._connection = connection
        self._request = request
        self._out: list[bytes] = []
        self._is_chunked = False
        self._ends_with_close = False
        self._is_finished = False
        self._is_broken = False

    def send_continue(self) -> None:
        self._out.append(_CONTINUE)

    def send_informational(self, status: int, reason: bytes, headers: Headers) -> None:
        self._out.append(head_bytes(status, reason, headers))

    def send_head(self, head: ResponseHead) -> None:
        has_length = head.bodyless or head.length_bytes is not None
        self._is_chunked = not has_length and self._request.version == b"1.1"
        self._ends_with_close = not has_length and not self._is_chunked
        lines = [b"transfer-encoding: chunked"] if self._is_chunked else []
        if self._connection.settle_close():
            lines.append(b"connection: close")
        self._out.append(head_bytes(head.status, head.reason, head.headers, *lines))

    def send_data(self, data: bytes) -> None:
        self._out.append(chunk_bytes(data) if self._is_chunked else data)

    def finish(self, trailers: Headers) -> None:
        if self._is_chunked:
            self._out.append(last_chunk_bytes(trailers))
        self._is_finished = True

    def abort(self) -> None:
        self._is_broken = True

    def flush(self) -> None:
        out, self._out = self._out, []
        transport = self._connection.transport
        if len(out) == 1:
            transport.write(out[0])
        elif out:
            transport.write(b"".join(out))
        if self._is_broken:
            self._break_connection(transport)
            self._connection.on_answered(is_broken=True)
        elif self._is_finished:
            self._is_finished = False
            self._connection.on_answered(is_broken=False)

    def _break_connection(self, transport: asyncio.Transport) -> None:
        """Ends the connection so that the answer cannot pass for whole: where only its end says so, by RST."""
        raw = transport.get_extra_info("socket")
        if self._ends_with_close and raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        else:
            transport.close()

    def pause_reading(self) -> None:
        self._connection.pause_upload()

    def resume_reading(self) -> None:
        self._connection.resume_upload()
