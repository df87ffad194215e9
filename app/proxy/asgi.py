"""The plain shell: an ASGI endpoint, for any ASGI server.

ASGI carries no header case, no 1xx, no trailers, no upgrade and no broken end for HTTP/1.0; the fast shell does. Nor
does it tell that a client has left while its upload is held back: that is seen when the upload goes on.
"""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.types import Message, Receive, Scope, Send

from app.proxy.context import ProxyContext
from app.proxy.flow import ExchangeFlow
from app.proxy.headers import Refusal, RequestHead
from app.proxy.prepared import PreparedRequest
from app.proxy.upstream import Headers, ResponseHead, Upstream
from app.telemetry.tasks import spawn

_HIGH_WATER_BYTES = 64 << 10


class BrokenAnswerError(Exception):
    """The upstream's answer was not whole; raised to make the server break the client's connection."""


class _AsgiClient:
    """ClientSide over an ASGI `send`: messages gather in a queue that the endpoint empties."""

    def __init__(self, *, closes: bool) -> None:
        self._closes = closes
        """What follows the request is none that could be told from its body."""
        self.messages: deque[Message] = deque()
        self.waiting_bytes = 0
        self.is_over = False
        self.is_broken = False
        self.wake = asyncio.Event()
        self.may_read = asyncio.Event()

    def send_continue(self) -> None:
        """The server sends 100 Continue when the body is first asked for."""
        self.may_read.set()

    def send_informational(self, head: ResponseHead, exchange_id: bytes) -> None:
        """ASGI has no message for it."""

    def send_head(self, head: ResponseHead, exchange_id: bytes) -> None:
        headers = [(line.name.lower(), line.value) for line in head.lines if line.passes]
        headers.append((b"x-verbatim-exchange-id", exchange_id))
        if self._closes:
            headers.append((b"connection", b"close"))
        self.messages.append({"type": "http.response.start", "status": head.status, "headers": headers})

    def send_data(self, data: bytes) -> None:
        self.waiting_bytes += len(data)
        self.messages.append({"type": "http.response.body", "body": data, "more_body": True})

    def flush(self) -> None:
        self.wake.set()

    def finish(self, trailers: Headers) -> None:
        self.messages.append({"type": "http.response.body", "body": b"", "more_body": False})
        self.is_over = True
        self.wake.set()

    def abort(self) -> None:
        self.is_broken = self.is_over = True
        self.wake.set()

    def pause_reading(self) -> None:
        self.may_read.clear()

    def resume_reading(self) -> None:
        self.may_read.set()


class ForwardEndpoint:
    """One exchange for each ASGI call."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send, upstream: Upstream) -> None:
        """Runs an exchange from its head to its outcome; raises BrokenAnswerError where the answer is not whole."""
        head = request_head(scope)
        client = _AsgiClient(closes=head.refusal is not None)
        prepared = PreparedRequest(head, upstream, self._context.rules, self._context.redactor)
        flow = ExchangeFlow(self._context, client, prepared)
        if not head.expects_continue:
            client.may_read.set()
        flow.begin()
        try:
            if not head.has_body or head.refusal is not None:
                flow.request_end([])
            flow.flush()
        except Exception as error:  # noqa: BLE001 - root of what a request head sets off: any fault ends one exchange
            flow.fail(error)
        reader = spawn(_read_request(flow, client, receive, is_whole=not head.has_body), name="asgi-request")
        try:
            await _send_answer(flow, client, send)
        finally:
            reader.cancel()
            flow.client_left()
        if client.is_broken:
            raise BrokenAnswerError


def request_head(scope: Scope) -> RequestHead:
    """The head of an ASGI request; transfer framing that the server took off is told by the fields that stayed."""
    target: bytes = scope.get("raw_path") or scope["path"].encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    head = RequestHead(scope["method"].encode(), target, scope["http_version"].encode(), headers)
    if head.upgrade is not None and head.refusal is None:
        head.refusal = Refusal(501, "upgrade_unsupported", "this server does not upgrade connections")
    return head


async def _read_request(flow: ExchangeFlow, client: _AsgiClient, receive: Receive, *, is_whole: bool) -> None:
    try:
        await _tell_request(flow, client, receive, is_whole=is_whole)
    except Exception as error:  # noqa: BLE001 - root of what a client's bytes set off: any fault ends one exchange
        flow.fail(error)


async def _tell_request(flow: ExchangeFlow, client: _AsgiClient, receive: Receive, *, is_whole: bool) -> None:
    while True:
        if not is_whole:
            await client.may_read.wait()
        message = await receive()
        if message["type"] == "http.disconnect":
            flow.client_left()
            client.is_over = True
            client.wake.set()
            return
        if is_whole:
            continue
        if message.get("body"):
            flow.request_data(message["body"])
        if not message.get("more_body", False):
            is_whole = True
            flow.request_end([])
        flow.flush()


async def _send_answer(flow: ExchangeFlow, client: _AsgiClient, send: Send) -> None:
    while True:
        while client.messages:
            message = client.messages.popleft()
            if client.waiting_bytes > _HIGH_WATER_BYTES:
                flow.client_paused()
            await send(message)
            if message["type"] == "http.response.body":
                client.waiting_bytes -= len(message["body"])
                if client.waiting_bytes <= _HIGH_WATER_BYTES:
                    flow.client_resumed()
        if client.is_over:
            return
        client.wake.clear()
        await client.wake.wait()
