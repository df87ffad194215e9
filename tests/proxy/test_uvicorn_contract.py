"""uvicorn's protocol class is no public API: every part of it that the fast shell uses is named here."""

from __future__ import annotations

import asyncio
import inspect

import httptools
import uvicorn
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from app.proxy.protocol import ExchangeProtocol

PROTOCOL_ATTRIBUTES = (
    "access_logger",
    "app",
    "app_state",
    "asgi_version",
    "client",
    "cycle",
    "flow",
    "logger",
    "parser",
    "root_path",
    "scheme",
    "server",
    "server_state",
    "transport",
)
OVERRIDDEN = (
    "connection_made",
    "connection_lost",
    "data_received",
    "on_message_begin",
    "on_url",
    "on_header",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
    "on_response_complete",
    "pause_writing",
    "resume_writing",
    "shutdown",
)
CYCLE_ARGUMENTS = [
    "scope",
    "transport",
    "flow",
    "logger",
    "access_logger",
    "access_log",
    "default_headers",
    "message_event",
    "expect_100_continue",
    "keep_alive",
    "on_response",
]
SERVER_METHODS = ("capture_signals", "on_tick", "shutdown", "serve")


async def _app(scope, receive, send):
    raise AssertionError("nothing calls it")


def test_the_version_is_the_one_that_this_was_written_for():
    assert uvicorn.__version__.startswith("0.54.")


async def test_the_protocol_has_the_attributes_that_we_read():
    protocol = HttpToolsProtocol(Config(_app, log_config=None), ServerState(), {}, asyncio.get_running_loop())
    missing = [name for name in PROTOCOL_ATTRIBUTES if not hasattr(protocol, name)]
    assert missing == []
    assert hasattr(protocol, "_start_asgi_task")
    assert {"connections", "tasks", "total_requests", "default_headers"} <= set(vars(protocol.server_state))


def test_flow_control_tells_whether_writing_is_paused():
    assert FlowControl(asyncio.Transport()).write_paused is False


def test_what_we_override_is_there_to_be_overridden():
    assert [name for name in OVERRIDDEN if name not in vars(HttpToolsProtocol)] == []
    assert [name for name in OVERRIDDEN if name not in vars(ExchangeProtocol)] == []
    assert [name for name in SERVER_METHODS if not hasattr(Server, name)] == []
    assert {"should_exit", "force_exit", "started", "server_state"} <= set(
        vars(Server(Config(_app, log_config=None)))
    )


def test_a_cycle_is_made_with_these_arguments():
    assert list(inspect.signature(RequestResponseCycle.__init__).parameters)[1:] == CYCLE_ARGUMENTS


def test_our_parser_is_strict_where_uvicorns_is_lenient():
    class Told:
        def __init__(self) -> None:
            self.urls: list[bytes] = []

        def on_url(self, url: bytes) -> None:
            self.urls.append(url)

    told = Told()
    parser = httptools.HttpRequestParser(told)
    twice = b"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
    try:
        parser.feed_data(twice)
    except httptools.HttpParserError:
        assert told.urls == [b"/1"]
    else:
        raise AssertionError("data after Connection: close was taken")
