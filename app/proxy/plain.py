"""Requests under no upstream, handed to the ASGI application by uvicorn's own cycle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import unquote

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.proxy.headers import RequestHead


def start_asgi_cycle(
    protocol: HttpToolsProtocol, head: RequestHead, *, keep_alive: bool, on_response: Callable[[], None]
) -> RequestResponseCycle:
    """Starts the application on a request without its body: nothing that it serves takes one."""
    raw_path, _, query = head.target.partition(b"?")
    scope: HTTPScope = {
        "type": "http",
        "asgi": {"version": protocol.asgi_version, "spec_version": "2.3"},
        "http_version": head.version.decode("latin-1"),
        "server": protocol.server,
        "client": protocol.client,
        "scheme": protocol.scheme or "http",
        "method": head.method.decode("latin-1"),
        "root_path": protocol.root_path,
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": query,
        "headers": [(name.lower(), value) for name, value in head.headers],
        "state": protocol.app_state.copy(),
        "extensions": {},
    }
    cycle = RequestResponseCycle(
        scope=scope,
        transport=protocol.transport,
        flow=protocol.flow,
        logger=protocol.logger,
        access_logger=protocol.access_logger,
        access_log=False,
        default_headers=protocol.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=on_response,
    )
    cycle.more_body = False
    cycle.message_event.set()
    protocol._start_asgi_task(cycle, protocol.app)
    return cycle
