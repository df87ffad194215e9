"""Hours of traffic with a fault a minute: nothing is lost, and nothing grows."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.telemetry.tasks import spawn
from tests.faults.conftest import Row
from tests.faults.injectors import Killer, processes, stopped
from tests.faults.judge import Allowed
from tests.faults.world import World, world

LONG_SECONDS = float(os.environ.get("SOAK_LONG_SECONDS", "3600"))
FAULT_SECONDS = min(60.0, LONG_SECONDS / 6)
SAMPLE_SECONDS = 5.0
CALLS_A_SECOND = 200
STREAMS = 5
ALLOWED = Allowed(frozenset({"proxy_crashed", "upstream_failed", "client_left"}), unanswered=True)
MOST_MIB_AN_HOUR = 30.0
MOST_FILES_MORE = 100
Fault = Callable[[World], Awaitable[None]]


async def kill_worker(made: World) -> None:
    """SIGKILL to a worker."""
    await Killer(made.product, "proxy").kill()


async def kill_recorder(made: World) -> None:
    """SIGKILL to the recorder."""
    await Killer(made.product, "recorder").kill()


async def stop_worker(made: World) -> None:
    """A worker stands still for three seconds."""
    with stopped(processes(made.product, "proxy")[:1]):
        await asyncio.sleep(3.0)


async def lose_database(made: World) -> None:
    """PostgreSQL is away for ten seconds."""
    made.way.close()
    await asyncio.sleep(10.0)
    made.way.open()


async def stall_database(made: World) -> None:
    """PostgreSQL says nothing for five seconds."""
    made.way.is_stalled = True
    await asyncio.sleep(5.0)
    made.way.is_stalled = False


async def reset_upstream(made: World) -> None:
    """Thirty answers break off."""
    await asyncio.gather(*[made.clients.ask(10, 10, "/reset") for _ in range(30)])


async def leave(made: World) -> None:
    """Thirty clients leave."""
    await asyncio.gather(
        *[made.clients.ask(10, 20, "/stall", leave_after=random.random() + 0.01) for _ in range(30)]
    )


FAULTS: tuple[Fault, ...] = (
    kill_worker,
    kill_recorder,
    stop_worker,
    lose_database,
    stall_database,
    reset_upstream,
    leave,
)


@pytest.mark.row("L1", ci=0, soak=1, seconds=LONG_SECONDS + 900)
async def test_hours_with_a_fault_a_minute_lose_nothing_and_nothing_grows(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    asyncio.get_running_loop().set_debug(False)  # it keeps where each of a million tasks came from
    async with world(tmp_path, database_url, workers=2) as made:
        sampler = Sampler(made)
        watching = spawn(sampler.run(), name="sampler")
        stop = asyncio.Event()
        calling = spawn(call_steadily(made, stop), name="calls")
        faults: dict[str, int] = defaultdict(int)
        end = time.monotonic() + LONG_SECONDS
        async with made.load(STREAMS, 100, 50):
            while time.monotonic() < end:
                await asyncio.sleep(min(FAULT_SECONDS, end - time.monotonic()))
                # One after the other first, so that each comes in a short run, too.
                done = sum(faults.values())
                fault = FAULTS[done] if done < len(FAULTS) else random.choice(FAULTS)
                await fault(made)
                faults[fault.__name__] += 1
        stop.set()
        await calling
        watching.cancel()
        verdict = await made.judge(ALLOWED)
        row.tell(
            held=verdict,
            seconds=f"{LONG_SECONDS:.0f}",
            faults=", ".join(f"{count} {name}" for name, count in sorted(faults.items())),
            memory=f"{sampler.slope('mib'):+.1f} MiB an hour",
            files=f"{sampler.slope('files'):+.1f} an hour",
        )
        assert verdict.exchanges > LONG_SECONDS * CALLS_A_SECOND / 4
        assert sampler.growth("files") < MOST_FILES_MORE
        if LONG_SECONDS >= 1800:
            assert sampler.slope("mib") < MOST_MIB_AN_HOUR


async def call_steadily(made: World, stop: asyncio.Event) -> None:
    """So many short calls a second, whatever becomes of them."""
    calls: set[asyncio.Task[object]] = set()
    start, count = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - start) * CALLS_A_SECOND) - count
        count += due
        # Where nobody answers, some hundred wait and the others are left out.
        for _ in range(min(due, 300 - len(calls))):
            call = spawn(made.clients.ask(1, 0), name="call")
            calls.add(call)
            call.add_done_callback(calls.discard)
        await asyncio.sleep(0.02)
    await asyncio.gather(*calls)


class Sampler:
    """Memory and files of all the product's processes together, every few seconds."""

    def __init__(self, made: World) -> None:
        self._made = made
        self._start = time.monotonic()
        self._samples: list[tuple[float, dict[str, float]]] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            pids = processes(self._made.product)
            taken = {"mib": sum(map(_resident_mib, pids)), "files": sum(map(_files, pids))}
            self._samples.append(((time.monotonic() - self._start) / 3600, taken))

    def slope(self, what: str) -> float:
        """By the hour, of the line through the samples of the second half: the first one is warming up."""
        points = [(hours, taken[what]) for hours, taken in self._settled()]
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        spread = sum((x - mean_x) ** 2 for x, _ in points)
        return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0

    def growth(self, what: str) -> float:
        """How much more the last quarter has on average than the one before."""
        values = [taken[what] for _, taken in self._settled()]
        middle = len(values) // 2
        return sum(values[middle:]) / len(values[middle:]) - sum(values[:middle]) / max(1, middle)

    def _settled(self) -> list[tuple[float, dict[str, float]]]:
        return self._samples[len(self._samples) // 2 :]


def _resident_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
