"""A proxy before PostgreSQL that loses the answer to a COMMIT: the connection is cut when it is in doubt."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from app.store.database.cluster import SOCKET_NAME
from app.telemetry.tasks import spawn


class CommitCutter:
    """Listens in a folder of its own; `cuts_left` is how many more answers to COMMIT are lost."""

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        self._target = f"{parse_qs(parts.query)['host'][0]}/{SOCKET_NAME}"
        self._path = folder / SOCKET_NAME
        self.url = f"postgresql://{parts.netloc}{parts.path}?host={folder}&user=verbatim"
        self.cuts_left = 0
        self._connections: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> CommitCutter:
        self._server = await asyncio.start_unix_server(self._accept, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*self._connections)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.append(spawn(self._serve(reader, writer), name="cutter"))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_unix_connection(self._target)
        cut = asyncio.Event()

        async def upwards() -> None:
            while data := await reader.read(65536):
                if b"COMMIT" in data and self.cuts_left:
                    self.cuts_left -= 1
                    cut.set()
                their_writer.write(data)
            their_writer.close()

        async def downwards() -> None:
            while data := await their_reader.read(65536):
                if cut.is_set():
                    break  # PostgreSQL has answered, nobody hears it
                writer.write(data)
            writer.close()
            their_writer.close()

        await asyncio.gather(spawn(upwards(), name="cutter_up"), spawn(downwards(), name="cutter_down"))
        for each in (writer, their_writer):
            with contextlib.suppress(ConnectionError):
                await each.wait_closed()
