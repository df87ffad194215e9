"""Memory: a recorder stays small whatever passes through it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from app.exchange import FrameType
from tests.recorder.conftest import until
from tests.recorder.journals import Exchange, Rows, open_writer

REPOSITORY = Path(__file__).parent.parent.parent
PIECE_BYTES = 256 << 10
MEBIBYTE = 1 << 20


def bodies() -> list[bytes]:
    """One far above what is decoded, one just below it, and one that would be millions of objects."""
    picture = b'{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,%b"}}]}]}'
    talk = [{"role": "user", "content": f"{turn} " + "words of a sentence " * 50} for turn in range(14_500)]
    return [
        picture % os.urandom(50 * MEBIBYTE).hex().encode(),
        json.dumps({"model": "m", "messages": talk}).encode(),
        b'{"messages":[' + b"{}," * (5 * MEBIBYTE) + b"{}]}",
    ]


@pytest.mark.timeout(90)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells how much memory is used")
async def test_bodies_of_100_mib_pass_within_300_mb(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder)
    made = bodies()
    for body in made:
        exchange = Exchange(writer)
        for kind in (FrameType.REQUEST_CHUNK, FrameType.RESPONSE_CHUNK):
            if kind == FrameType.RESPONSE_CHUNK:
                exchange.head()
            for start in range(0, len(body), PIECE_BYTES):
                exchange.put(kind, body[start : start + PIECE_BYTES])
        exchange.end()
    writer.close()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.recorder.recorder_process", str(folder), rows.url),
        cwd=REPOSITORY,
        stdout=PIPE,
    )

    async def is_recorded() -> bool:
        return await rows.count() == len(made)

    await until(is_recorded, seconds=60)
    lines = (Path("/proc") / str(process.pid) / "status").read_text().splitlines()
    [peak] = [int(line.split()[1]) // 1000 for line in lines if line.startswith("VmHWM")]
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert peak < 300
