"""A real worker's listener in the test's event loop, with a real journal, a real pool and either shell."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from app.exchange import AnswerHead, Begin, End, FrameType, Note
from app.journal.disk import Disk
from app.journal.reader import JournalDirectory, SegmentReader
from app.journal.writer import JournalRules, JournalWriter
from app.proxy.application import create_application
from app.proxy.context import ProxyContext
from app.proxy.pool import UpstreamPool
from app.proxy.rules import ProxyRules
from app.proxy.secrets import Redactor
from app.proxy.server import ServerRules, WorkerServer, server_config
from app.proxy.upstream import Upstream
from app.telemetry.metrics import MetricsMap, render
from app.telemetry.tasks import spawn

_PAYLOADS: dict[int, type] = {
    FrameType.BEGIN: Begin,
    FrameType.RESPONSE_HEAD: AnswerHead,
    FrameType.END: End,
    FrameType.NOTE: Note,
}


@dataclass
class Recorded:
    """One exchange as the journal has it."""

    kinds: list[str] = field(default_factory=list)
    begin: Any = None
    head: Any = None
    end: Any = None
    request: bytes = b""
    response: bytes = b""
    notes: list[Any] = field(default_factory=list)

    @property
    def outcome(self) -> str | None:
        """The outcome, None while there is no END."""
        return self.end.outcome if self.end else None


class QuietServer(WorkerServer):
    """A server that leaves the test's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Proxy:
    """A running listener."""

    port: int
    journal_dir: Path
    context: ProxyContext
    server: QuietServer
    metrics: MetricsMap

    def recorded(self) -> list[Recorded]:
        """What the journal has right now, in order of beginning."""
        return list(read_journal(self.journal_dir).values())

    async def ended(self, count: int = 1) -> list[Recorded]:
        """The same once `count` exchanges have ended."""
        for _ in range(1000):
            found = [each for each in self.recorded() if each.end is not None]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)
        raise TimeoutError(f"{len(found)} of {count} exchanges ended: {self.recorded()}")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)

    async def ask(self, request: bytes) -> bytes:
        """Sends bytes, half a request or several; gives all that comes until the connection ends."""
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()


def read_journal(directory: Path) -> dict[bytes, Recorded]:
    """Every exchange in the journal's segments."""
    found: dict[bytes, Recorded] = {}
    journal = JournalDirectory(directory)
    for name in journal.segments():
        reader = SegmentReader(journal, name)
        while frames := reader.read():
            for frame in frames:
                if frame.kind in _PAYLOADS or frame.kind in (
                    FrameType.REQUEST_CHUNK,
                    FrameType.RESPONSE_CHUNK,
                ):
                    _add(found.setdefault(frame.exchange_id, Recorded()), frame.kind, frame.payload)
        reader.close()
    return {key: value for key, value in found.items() if any(key)}


def _add(recorded: Recorded, kind: int, payload: bytes) -> None:
    recorded.kinds.append(FrameType(kind).name)
    value = msgspec.msgpack.decode(payload, type=_PAYLOADS[kind]) if kind in _PAYLOADS else payload
    match kind:
        case FrameType.BEGIN:
            recorded.begin = value
        case FrameType.RESPONSE_HEAD:
            recorded.head = value
        case FrameType.END:
            recorded.end = value
        case FrameType.NOTE:
            recorded.notes.append(value)
        case FrameType.REQUEST_CHUNK:
            recorded.request += payload
        case FrameType.RESPONSE_CHUNK:
            recorded.response += payload


@asynccontextmanager
async def running_proxy(
    folder: Path,
    *upstreams: Upstream,
    shell: str = "fast",
    journal: dict[str, Any] | None = None,
    pool: dict[str, Any] | None = None,
    disk: Disk | None = None,
    drain_seconds: float = 5.0,
    **rules: Any,
) -> AsyncIterator[Proxy]:
    """A listener in front of these upstreams."""
    journal_dir = folder / "journal"
    journal_rules = JournalRules(**{"min_free_bytes": 0, **(journal or {})})
    writer = JournalWriter(journal_dir, 0, "test", journal_rules, disk)
    writer.open()
    client = UpstreamPool(**{"tls": None, **(pool or {})})
    metrics = MetricsMap(1)
    context = ProxyContext(
        rules=ProxyRules(upstreams={each.name.encode(): each for each in upstreams}, **rules),
        client=client,
        journal=writer,
        redactor=Redactor(b"test"),
        metrics=metrics.page(0),
    )
    application = create_application(context, lambda: render(metrics))
    listener = socket.create_server(("127.0.0.1", 0))
    config = server_config(context, application, ServerRules(uses_fast_shell=shell == "fast"))
    server = QuietServer(config, context, drain_seconds=drain_seconds)
    task = spawn(server.serve(sockets=[listener]), name="proxy under test")
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield Proxy(listener.getsockname()[1], journal_dir, context, server, metrics)
    finally:
        server.begin_drain()
        server.force_exit = True
        await task
        await client.aclose()
        writer.close()
