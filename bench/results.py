"""What was measured, its best windows and ratios, and what was missed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.backlog import Drain
from bench.loads import DIRECT, MANY, NGINX, PACED, VERBATIM, Load
from bench.plan import (
    DRAIN_MUST,
    JSON_MUST,
    MEMORY_AFTER,
    MEMORY_MUST_MB,
    RECORDER_MUST_MB,
    SSE_MUST,
)
from bench.processes import Memory


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one side."""

    kind: str
    side: str
    units: int
    """Answers, or chunks."""
    seconds: float
    cpu_seconds: float
    """Of the worker."""
    p50_ms: float
    p99_ms: float
    """Whole answers; for paced streams the time to the first byte."""
    helpers: dict[str, float]
    """Share of a core that each helper took: upstream, client."""
    reads: int = 0
    """Of the streaming client."""

    @property
    def cpu_us(self) -> float:
        """CPU per unit."""
        return self.cpu_seconds * 1e6 / max(1, self.units)

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.units / self.seconds

    @property
    def busy(self) -> float:
        """Share of a core that the worker took."""
        return self.cpu_seconds / self.seconds


@dataclass(frozen=True, slots=True)
class Count:
    """What was sent through Verbatim, and what its record holds."""

    answered: int
    """Whole answers that clients got."""
    sent: int
    """Requests that clients began; the difference was given up when a window's time was over."""
    accepted: int
    """Exchanges that the worker counted."""
    recorded: int
    """Distinct exchanges that the console lists."""
    completed: int
    """Those with the outcome `completed`."""
    dropped: int
    """What the worker says it could not record."""
    catch_up_seconds: float
    """From the last answer until the record was whole, or until the wait was given up."""

    def complaints(self) -> list[str]:
        """What is wrong with it, one line each."""
        found: list[str] = []
        if self.recorded != self.accepted:
            found.append(f"{self.accepted} exchanges were accepted, {self.recorded} are recorded")
        if self.completed < self.answered:
            found.append(
                f"clients got {self.answered} whole answers, {self.completed} exchanges are recorded as completed"
            )
        if not self.answered <= self.accepted <= self.sent:
            found.append(f"{self.accepted} exchanges for {self.answered} to {self.sent} requests")
        if self.dropped:
            found.append(f"{self.dropped} exchanges were dropped")
        return found


@dataclass(frozen=True, slots=True)
class Soaked:
    """The worker's memory on its way to many exchanges."""

    exchanges: int
    memory: Memory


@dataclass(frozen=True, slots=True)
class Scaled:
    """What so many workers took, with clients and upstream on the same cores and the recorder held."""

    workers: int
    rate: float
    """Exchanges a second."""
    cpu_us: float
    """CPU of all workers per exchange."""


@dataclass(frozen=True, slots=True)
class Started:
    """What starting costs."""

    proxy_cpu_seconds: float
    """`verbatim proxy`, all processes, until it answers."""
    idle_pss_mb: float | None
    """`verbatim serve`, all processes but PostgreSQL; None where the kernel does not show it."""


@dataclass(slots=True)
class Results:
    """All of one run."""

    machine: list[tuple[str, str]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    count: Count | None = None
    memory: Memory | None = None
    memory_after: int = 0
    """Exchanges that the worker had had when its memory was read."""
    soaked: list[Soaked] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)
    recorder_memory: Memory | None = None
    """Of the recorder, after bodies of 100 MB."""
    scaled: list[Scaled] = field(default_factory=list)
    started: Started | None = None
    all_in: list[tuple[str, float]] = field(default_factory=list)
    """CPU in microseconds an exchange over the whole run, by process."""
    complaints: list[str] = field(default_factory=list)
    """What went wrong on the way: errors of clients, answers with other bytes."""
    is_quick: bool = False

    @property
    def drain(self) -> Drain | None:
        """The fastest."""
        return max(self.drains, key=lambda each: each.rate, default=None)

    def of(self, load: Load, side: str) -> list[Window]:
        """One side's windows of a load."""
        return [window for window in self.windows if (window.kind, window.side) == (load.name, side)]

    def has(self, load: Load, *sides: str) -> bool:
        """Whether there are windows of all these sides."""
        return all(self.of(load, side) for side in sides)

    def best(self, load: Load, side: str) -> Window:
        """The window with the least CPU per unit."""
        return min(self.of(load, side), key=lambda window: window.cpu_us)

    def ratio(self, load: Load, side: str = VERBATIM, beside: str = NGINX) -> float:
        """One side's best CPU per unit over another's."""
        return self.best(load, side).cpu_us / self.best(load, beside).cpu_us

    def latency_ms(self, load: Load, side: str) -> tuple[float, float]:
        """The least p50 and the least p99 of all windows."""
        windows = self.of(load, side)
        return min(each.p50_ms for each in windows), min(each.p99_ms for each in windows)

    def added_ms(self, load: Load, side: str) -> tuple[float, float]:
        """The same above a direct call's."""
        direct, ours = self.latency_ms(load, DIRECT), self.latency_ms(load, side)
        return ours[0] - direct[0], ours[1] - direct[1]


def missed(results: Results) -> list[str]:
    """What must hold and does not, one line each."""
    found = list(results.complaints)
    for load, must in ((MANY, JSON_MUST), (PACED, SSE_MUST)):
        if results.ratio(load) > must:
            found.append(
                f"{load.name}: {results.ratio(load):.2f} times nginx's CPU, at most {must} are allowed"
            )
    if results.memory is not None and results.memory.rss_mb > MEMORY_MUST_MB:
        found.append(
            f"the worker holds {results.memory.rss_mb:.0f} MB, at most {MEMORY_MUST_MB:.0f} are allowed"
        )
    if results.drain is not None and results.drain.rate < DRAIN_MUST:
        found.append(
            f"the recorder takes {results.drain.rate:,.0f} exchanges/s, {DRAIN_MUST:,.0f} are needed"
        )
    if results.recorder_memory is not None and results.recorder_memory.peak_rss_mb > RECORDER_MUST_MB:
        held_mb = results.recorder_memory.peak_rss_mb
        found.append(f"the recorder held {held_mb:.0f} MB, at most {RECORDER_MUST_MB:.0f} are allowed")
    if not results.is_quick and results.memory_after < MEMORY_AFTER:
        found.append(f"memory was read after {results.memory_after} exchanges, {MEMORY_AFTER} are needed")
    return found + (results.count.complaints() if results.count else ["the record was not counted"])
