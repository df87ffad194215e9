"""Keeps what is recorded quick to search: starts the builder's process when a segment may be closed.

Where that fails, all is found as before, more slowly; so it never stops a recorder, and it is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from app.clock import utc_now
from app.errors import StoreError
from app.store.database.pool import Pool
from app.store.search.building import Builder
from app.telemetry.logs import event_logger

FIRST_LOOK_SECONDS = 2.0
"""What was left at a restart comes first."""
LOOK_SECONDS = 5.0
RETRY_SECONDS = 60.0
STOP_SECONDS = 5.0

_events = event_logger("recorder")


async def keep_searchable(url: str, look_seconds: float = LOOK_SECONDS) -> None:
    """Has segments closed for as long as it is let; never raises for the store or the process."""
    pool = Pool(url, size=1, application="verbatim search")
    builder = Builder(pool)
    try:
        await asyncio.sleep(FIRST_LOOK_SECONDS)
        while True:
            pause = look_seconds
            try:
                if await builder.has_work(utc_now()):
                    complaint = await _run_builder(url)
                    if complaint is not None:
                        _events.warning("search_builder_failed", error=complaint)
                        pause = RETRY_SECONDS
            except (StoreError, OSError) as error:
                _events.warning("search_waits", error=str(error))
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)
    finally:
        await pool.close()


async def _run_builder(url: str) -> str | None:
    """Runs the process until it ends; gives what it says where it failed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.store.search.process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        # The pipe stays open: its end tells the process to leave.
        process.stdin.write(url.encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
        said = await process.stderr.read()
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return None if code == 0 else (lines[-1] if lines else f"it ended with {code}")
