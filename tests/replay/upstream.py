"""An upstream on a raw socket that answers recording N to the request whose `x-replay-index` is N."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.replay.recording import Fields, Recording
from tests.replay.wire import Message, read_message

INDEX_FIELD = b"x-replay-index"


@dataclass
class ReplayUpstream:
    """Serves recordings, keeps what it was asked."""

    recordings: dict[int, Recording]
    splits: str
    seed: int
    requests: dict[int, Message] = field(default_factory=dict)

    async def start(self) -> int:
        """Starts to listen on loopback; gives the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stops listening."""
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await read_message(reader)) is not None:
                index = int(request.field(INDEX_FIELD) or b"-1")
                self.requests[index] = request
                recording = self.recordings[index]
                chance = random.Random(self.seed * 1_000_003 + index)
                for piece in self._pieces(answer_bytes(recording, chance, self.splits), chance):
                    writer.write(piece)
                    await writer.drain()
                    if self.splits != "whole":
                        await asyncio.sleep(0)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _pieces(self, data: bytes, chance: random.Random) -> Iterator[bytes]:
        if self.splits == "whole":
            yield data
        elif self.splits == "bytes":
            for position in range(len(data)):
                yield data[position : position + 1]
        else:
            position = 0
            while position < len(data):
                size = chance.choice((1, 2, 7, 100, 1400, 16384))
                yield data[position : position + size]
                position += size


def answer_bytes(recording: Recording, chance: random.Random, splits: str) -> bytes:
    """The whole answer; a chunked body is cut into chunks at random places."""
    lines = [b"HTTP/1.1 %d Recorded" % recording.status]
    lines += [name + b": " + value for name, value in recording.response_fields]
    body = b""
    if recording.has_answer_body and recording.is_chunked:
        lines.append(b"Transfer-Encoding: chunked")
        body = _chunked(recording.response_body, chance, splits)
    elif recording.has_answer_body:
        lines.append(b"Content-Length: %d" % len(recording.response_body))
        body = recording.response_body
    return b"\r\n".join([*lines, b"", b""]) + body


def _chunked(body: bytes, chance: random.Random, splits: str) -> bytes:
    chunks = []
    position = 0
    while position < len(body):
        size = len(body) if splits == "whole" else chance.choice((1, 3, 64, 500, 4096))
        piece = body[position : position + size]
        chunks.append(b"%x\r\n%b\r\n" % (len(piece), piece))
        position += size
    return b"".join([*chunks, b"0\r\n\r\n"])


def expected_fields(fields: Fields) -> Fields:
    """Fields as a proxy must pass them: hop-by-hop ones and those that `Connection` names are gone."""
    hops = {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"transfer-encoding"}
    return [
        each for each in fields if each[0].lower() not in hops and not each[0].lower().startswith(b"proxy-")
    ]
