"""A loop that stands still is told of while it does, and once."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.proxy.watchdog import LoopWatchdog
from app.telemetry.metrics import MetricsMap, Slot, WorkerPage

STALLED_SECONDS = 0.2


@contextmanager
def watching() -> Iterator[WorkerPage]:
    page = MetricsMap(1).page(0)
    watchdog = LoopWatchdog(page, STALLED_SECONDS)
    watchdog.start()
    try:
        yield page
    finally:
        watchdog.stop()


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    lines = [each for each in caplog.records if each.getMessage() == "event_loop_stalled"]
    return [vars(each)["fields"] for each in lines]


async def test_a_blocked_loop_is_told_with_its_place_before_it_goes_on(caplog):
    caplog.set_level(logging.ERROR, "verbatim")
    with watching() as page:
        await asyncio.sleep(0.05)
        end = time.monotonic() + 30
        while not page.get(Slot.EVENT_LOOP_STALLS) and time.monotonic() < end:
            time.sleep(0.01)  # noqa: ASYNC251 - blocking the loop is the fault
        assert page.get(Slot.EVENT_LOOP_STALLS) == 1
        [fields] = told(caplog)
        assert "proxy/test_watchdog.py:" in str(fields["at"])
        assert float(str(fields["late_seconds"])) >= STALLED_SECONDS


async def test_each_stall_is_told_once_however_long_it_lasts(caplog):
    caplog.set_level(logging.ERROR, "verbatim")
    with watching() as page:
        for number in (1, 2):
            await asyncio.sleep(STALLED_SECONDS)
            time.sleep(STALLED_SECONDS * 5)  # noqa: ASYNC251 - blocking the loop is the fault
            await asyncio.sleep(STALLED_SECONDS)
            assert page.get(Slot.EVENT_LOOP_STALLS) >= number
        # A busy machine may hold a loop by itself; a stall that is told again and again would be five or more each.
        assert len(told(caplog)) <= 5


async def test_a_loop_that_is_busy_but_never_for_long_is_not_told(caplog):
    caplog.set_level(logging.ERROR, "verbatim")
    page = MetricsMap(1).page(0)
    watchdog = LoopWatchdog(page, 5.0)
    watchdog.start()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        time.sleep(0.01)  # noqa: ASYNC251 - work
        await asyncio.sleep(0)
    watchdog.stop()
    assert page.get(Slot.EVENT_LOOP_STALLS) == 0
    assert not told(caplog)


STOPPABLE = f"""
import asyncio
from app.proxy.watchdog import LoopWatchdog
from app.telemetry.logs import setup_logging
from app.telemetry.metrics import MetricsMap

async def main():
    LoopWatchdog(MetricsMap(1).page(0), {STALLED_SECONDS}).start()
    print("ready", flush=True)
    await asyncio.sleep(60)

setup_logging("info", "test")
asyncio.run(main())
"""


async def test_a_process_that_was_stopped_tells_so_when_it_goes_on():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STOPPABLE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(STALLED_SECONDS * 2)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(STALLED_SECONDS * 5)
        process.send_signal(signal.SIGCONT)
        told_line = (await process.stderr.readline()).decode()
        assert "event_loop_stalled" in told_line
    finally:
        process.kill()
        await process.communicate()
