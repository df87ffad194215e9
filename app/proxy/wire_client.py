"""The client of the fast shell: answers as bytes on its connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Protocol

from app.proxy.headers import RequestHead
from app.proxy.upstream import SWITCHING_PROTOCOLS, Headers, ResponseHead
from app.proxy.wire import chunk_bytes, head_bytes, last_chunk_bytes

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_EXCHANGE_ID = b"x-verbatim-exchange-id: "
_CHUNKED = b"\r\ntransfer-encoding: chunked"
_CLOSE = b"\r\nconnection: close"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(Protocol):
    """What the client needs of its connection."""

    transport: asyncio.Transport

    def settle_close(self) -> bool:
        """True where no request after the running one will be answered here; once told, it stays so."""

    def open_tunnel(self) -> None:
        """What the client sends from now on belongs to another protocol."""

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
        "_is_chunked",
        "_out",
        "_request",
    )

    def __init__(self, connection: Connection, request: RequestHead) -> None:
        self._connection = connection
        self._request = request
        self._out: list[bytes] = []
        self._is_chunked = False
        self._ends_with_close = False

    def send_continue(self) -> None:
        self._out.append(_CONTINUE)
        self.flush()

    def send_informational(self, head: ResponseHead, exchange_id: bytes) -> None:
        self._out.append(head_bytes(head.status_line.sent, head.passed, _EXCHANGE_ID + exchange_id))

    def send_head(self, head: ResponseHead, exchange_id: bytes) -> None:
        own = _EXCHANGE_ID + exchange_id
        if head.status == SWITCHING_PROTOCOLS:
            self._out.append(head_bytes(head.status_line.sent, head.passed, own))
            self._connection.open_tunnel()
            return
        if not head.bodyless and head.length_bytes is None:
            if self._request.version == b"1.1":
                self._is_chunked = True
                own += _CHUNKED
            else:
                self._ends_with_close = True
        if self._connection.settle_close():
            own += _CLOSE
        self._out.append(head_bytes(head.status_line.sent, head.passed, own))

    def send_data(self, data: bytes) -> None:
        self._out.append(chunk_bytes(data) if self._is_chunked else data)

    def flush(self) -> None:
        out, self._out = self._out, []
        if out and not self._connection.transport.is_closing():
            self._connection.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def finish(self, trailers: Headers) -> None:
        if self._is_chunked:
            self._out.append(last_chunk_bytes(trailers))
        self.flush()
        self._connection.on_answered(is_broken=False)

    def abort(self) -> None:
        self.flush()
        self._break_connection(self._connection.transport)
        self._connection.on_answered(is_broken=True)

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
