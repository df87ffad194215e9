"""A journal's folder and a recorder that runs in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.recorder.process import RecorderOptions, run_recorder
from app.recorder.status import RecorderStatus
from tests.recorder.journals import Rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a journal is."""
    path = tmp_path / "journal"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def rows(database_url: str) -> Rows:
    """What the recorder has written."""
    return Rows(database_url)


@asynccontextmanager
async def recording(options: RecorderOptions) -> AsyncIterator[RecorderStatus]:
    """A recorder that runs meanwhile; drained at the end."""
    status = RecorderStatus()
    stop = asyncio.Event()
    task = asyncio.get_running_loop().create_task(run_recorder(options, stop, status))
    try:
        yield status
    finally:
        stop.set()
        await task


async def until(met: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
    """Waits until a condition is met."""
    async with asyncio.timeout(seconds):
        while not await met():
            await asyncio.sleep(0.02)
