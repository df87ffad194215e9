"""Small bodies that would be huge: they pass and are kept as they came, and the recorder stays small."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import brotli
import pytest
import zstandard

from tests.fakes.upstream import ScriptedUpstream
from tests.product import running_product

MEBIBYTE = 1 << 20
BOMB_BYTES = 192 * MEBIBYTE
MOST_MEBIBYTES = 250


def bombs() -> dict[str, bytes]:
    zeros = bytes(BOMB_BYTES)
    squeezed = gzip.compress(zeros, 1)
    return {
        "gzip": squeezed,
        "gzip, gzip": gzip.compress(squeezed),
        "br": brotli.compress(zeros, quality=1),
        "zstd": zstandard.ZstdCompressor(level=1).compress(zeros),
        "br, gzip, zstd": zstandard.ZstdCompressor().compress(
            gzip.compress(brotli.compress(zeros, quality=1))
        ),
    }


def peak_mebibytes(parent: int, name: str) -> int:
    """The most memory that a child process of this name ever had."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields["PPid"]) == parent and name in fields["Name"]:
            return int(fields["VmHWM"].split()[0]) // 1024
    raise LookupError(name)


@pytest.mark.timeout(120)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells how much memory is used")
async def test_bombs_pass_as_they_came_and_the_recorder_stays_small(tmp_path, database_url):
    made = bombs()

    async def script(connection):
        while (request := await connection.read_request()) is not None:
            body = made[request.field(b"x-wanted").decode()]
            fields = b"Content-Type: application/json\r\nContent-Encoding: " + request.field(b"x-wanted")
            await connection.send(
                b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: %d\r\n\r\n" % (fields, len(body)) + body
            )

    async with (
        ScriptedUpstream(script) as upstream,
        running_product(
            tmp_path / "data", upstream=f"http://127.0.0.1:{upstream.port}", database_url=database_url
        ) as product,
    ):
        for coding, bomb in made.items():
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nX-Wanted: {coding}\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n\r\n"
            )
            reader, writer = await asyncio.open_connection("127.0.0.1", product.port)
            writer.write(head.encode() + bomb)
            assert (await reader.read()).partition(b"\r\n\r\n")[2] == bomb, coding
            writer.close()
        recorded = await product.exchanges(len(made))
        for exchange in recorded:
            place = f"/api/exchanges/{exchange['id']}"
            detail = await product.get_json(place)
            body = await asyncio.to_thread(product.get, f"{place}/response")
            assert body == made[detail["response_content_encoding"]]
            assert await asyncio.to_thread(product.get, f"{place}/request") == body
            assert exchange["outcome"] == "completed" and exchange["request_preview"] is None
        assert peak_mebibytes(product.process.pid, "recorder") < MOST_MEBIBYTES
        assert peak_mebibytes(product.process.pid, "console") < MOST_MEBIBYTES
        assert peak_mebibytes(product.process.pid, "proxy") < MOST_MEBIBYTES
