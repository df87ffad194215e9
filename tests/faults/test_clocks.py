"""The wall clock jumps by days and years, forth and back: all is recorded once, and nothing took less than no time."""

from __future__ import annotations

import asyncio
import platform
import random
import sys
from pathlib import Path

import libfaketime
import pytest

from tests.faults.conftest import Row
from tests.faults.judge import Allowed, fetch
from tests.faults.world import world

DAY_SECONDS = 86_400
JUMPS = (DAY_SECONDS, -DAY_SECONDS, 3_653 * DAY_SECONDS, -3_653 * DAY_SECONDS)
LIBRARY = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="libfaketime's package has its library for Linux on x86-64 alone",
)
@pytest.mark.row("C1", ci=4, soak=40)
async def test_a_clock_that_jumps_loses_nothing_and_no_exchange_ends_before_it_began(
    tmp_path: Path, database_url: str, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    for name, text in (
        ("LD_PRELOAD", str(LIBRARY)),
        ("FAKETIME_TIMESTAMP_FILE", str(offset)),
        ("FAKETIME_NO_CACHE", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ):
        monkeypatch.setenv(name, text)
    async with world(tmp_path, database_url, workers=2) as made:
        async with made.load(10, 10, 20):
            for number in row.turns():
                await asyncio.sleep(0.5 + random.random() / 2)
                offset.write_text(f"{JUMPS[number % len(JUMPS)]:+d}\n")
                await asyncio.sleep(0.5 + random.random() / 2)
                offset.write_text("+0\n")
        # A clock that is wrong by more than a day stops the recorder, which looks again after some seconds.
        verdict = await made.judge(Allowed(back_seconds=60.0))
        (sums,) = await fetch(
            made.database_url,
            "SELECT count(*) AS all, count(*) FILTER (WHERE duration_us < 0 OR ttft_us < 0) AS negative,"
            " count(DISTINCT (boot, slot, accept_number)) AS numbers,"
            " count(DISTINCT date_trunc('day', started_at)) AS days FROM exchanges",
        )
        assert sums["negative"] == 0
        assert sums["numbers"] == sums["all"], "two exchanges have one number"
        assert sums["days"] >= min(row.times, len(JUMPS)), "the clock did not jump"
        row.tell(held=verdict, days=sums["days"])
