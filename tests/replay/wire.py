"""A small HTTP/1.1 reader for tests, independent of the product's parsers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.replay.recording import Fields


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer: start line, fields and body as they came, transfer framing taken off."""

    start: bytes
    fields: Fields
    body: bytes

    def field(self, name: bytes) -> bytes | None:
        """The first value of a field, or None."""
        return next((value for each, value in self.fields if each.lower() == name), None)


async def read_message(reader: asyncio.StreamReader, *, has_body: bool = True) -> Message | None:
    """The next message, or None where the connection ended before it; 1xx answers are passed over."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        lines = head[:-4].split(b"\r\n")
        fields: Fields = []
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            fields.append((name, value.strip(b" \t")))
        if not lines[0].startswith(b"HTTP/1.1 1"):
            break
    return Message(
        lines[0], fields, await _body(reader, lines[0], dict((n.lower(), v) for n, v in fields), has_body)
    )


async def _body(
    reader: asyncio.StreamReader, start: bytes, fields: dict[bytes, bytes], has_body: bool
) -> bytes:
    if not has_body:
        return b""
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        return await _chunks(reader)
    if b"content-length" in fields:
        return await reader.readexactly(int(fields[b"content-length"]))
    return await reader.read() if start.startswith(b"HTTP/") else b""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        if await reader.readexactly(2) != b"\r\n":
            raise ConnectionError("a chunk does not end where it should")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        continue
    return b"".join(parts)
