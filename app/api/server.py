"""The console put together, and served."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
import uvloop
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse

from app import __version__
from app.api.conversations import conversation_routes
from app.api.description import Described
from app.api.erasures import erasure_routes
from app.api.errors import install_error_answers
from app.api.exchanges import exchange_routes
from app.api.export import export_routes
from app.api.guard import Guard
from app.api.listener import MOST_CONNECTIONS, BoundedProtocol
from app.api.openai import openai_routes
from app.api.openai_changes import openai_change_routes
from app.api.parameters import check_query
from app.api.readers import Readers
from app.api.reference import reference_page
from app.api.stats import stats_routes
from app.api.status import status_routes
from app.api.storage import storage_routes
from app.api.tail import tail_routes
from app.api.tokens import token_routes
from app.store.reading.query import Query

SHUTDOWN_SECONDS = 5
_DESCRIPTION = "The record of every exchange with the OpenAI API, word for word."


async def _nothing_to_close() -> None:
    """For a store that its owner closes."""


def create_console(
    store: Query,
    token_hash: bytes,
    hosts: frozenset[str],
    readers: Readers,
    close: Callable[[], Awaitable[None]] = _nothing_to_close,
    *,
    store_max_bytes: int | None = None,
) -> FastAPI:
    """The console over a store, for whoever bears the token with this SHA-256 and names one of these hosts.

    `close` runs when the server stops; `store_max_bytes` is how large the store may grow.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await close()

    stopping = asyncio.Event()
    console = Described(
        title="Verbatim console",
        description=_DESCRIPTION,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        dependencies=[Depends(check_query)],
    )
    console.include_router(exchange_routes(store, readers.messages))
    console.include_router(conversation_routes(store, readers.turns))
    console.include_router(export_routes(store, readers.messages, readers.fields))
    console.include_router(tail_routes(store, stopping))
    console.include_router(stats_routes(store.stats))
    console.include_router(storage_routes(store.storage, store_max_bytes))
    console.include_router(erasure_routes(store.erasures))
    console.include_router(status_routes(store))
    console.include_router(token_routes(store.tokens))
    console.include_router(openai_routes(store, readers.objects))
    console.include_router(openai_change_routes(store, readers.objects))
    console.state.stopping = stopping
    install_error_answers(console)
    console.add_middleware(Guard, hosts=hosts, expected_hash=token_hash, tokens=store.tokens)

    @console.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(reference_page(console.openapi()))

    return console


class _ConsoleServer(uvicorn.Server):
    """uvicorn's server that ends at SIGTERM by itself, without raising the signal once more."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._leave)
        yield

    def _leave(self) -> None:
        self.should_exit = True
        self._stopping.set()


def console_server(console: FastAPI) -> uvicorn.Server:
    """The server of the console; SIGTERM or `should_exit` ends it."""
    config = uvicorn.Config(
        console,
        http=BoundedProtocol,
        limit_concurrency=MOST_CONNECTIONS,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return _ConsoleServer(config, console.state.stopping)


def run_console(console: FastAPI, sockets: list[socket.socket]) -> None:
    """Serves on listening sockets until SIGTERM."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(console_server(console).serve(sockets=sockets))
