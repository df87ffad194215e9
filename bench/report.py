"""What was measured and what is made of it: best windows, ratios, what was missed, one Markdown page. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.backlog import BIG_BYTES, Drain
from bench.plan import DRAIN_MUST, JSON_MUST, MEMORY_AFTER, MEMORY_MUST_MB, RECORDER_MUST_MB, SSE_MUST
from bench.processes import Memory

NGINX, VERBATIM = "nginx", "Verbatim"
MANY, STEADY, ONE, PACED = (
    "JSON, 50 connections",
    "JSON, 50 connections, paced",
    "JSON, 1 connection",
    "SSE, paced",
)
NEAR_LIMIT = 0.9
"""Share of a core from which on a helper of the run may have been what was measured."""


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
    """Whole answers; for streams the time to the first byte."""
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


@dataclass(slots=True)
class Results:
    """All of one run."""

    machine: list[tuple[str, str]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    count: Count | None = None
    memory: Memory | None = None
    memory_after: int = 0
    """Exchanges that the worker had had when its memory was read."""
    drain: Drain | None = None
    recorder_memory: Memory | None = None
    """Of the recorder, after bodies of 100 MB."""
    all_in: list[tuple[str, float]] = field(default_factory=list)
    """CPU in microseconds an exchange over the whole run, by process."""
    complaints: list[str] = field(default_factory=list)
    """What went wrong on the way: errors of clients, answers with other bytes."""
    is_quick: bool = False

    def of(self, kind: str, side: str) -> list[Window]:
        """One side's windows of a kind."""
        return [window for window in self.windows if (window.kind, window.side) == (kind, side)]

    def best(self, kind: str, side: str) -> Window:
        """The window with the least CPU per unit."""
        return min(self.of(kind, side), key=lambda window: window.cpu_us)

    def ratio(self, kind: str) -> float:
        """Verbatim's best CPU per unit over nginx's."""
        return self.best(kind, VERBATIM).cpu_us / self.best(kind, NGINX).cpu_us


def missed(results: Results) -> list[str]:
    """What must hold and does not, one line each."""
    found = list(results.complaints)
    for kind, must in ((MANY, JSON_MUST), (PACED, SSE_MUST)):
        if results.ratio(kind) > must:
            found.append(f"{kind}: {results.ratio(kind):.2f} times nginx's CPU, at most {must} are allowed")
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


def render(results: Results) -> str:
    """The Markdown page, ratios first."""
    return "\n".join(
        [
            *_ratios(results),
            "",
            *_windows(results),
            "",
            *_record(results),
            "",
            *_warnings(results),
            *_machine(results),
        ]
    )


def _ratios(results: Results) -> list[str]:
    lines = [
        "# What recording costs, beside nginx",
        "",
        "CPU (user and system) of Verbatim's worker, which records every exchange, against that of nginx's worker,"
        " which records nothing: best window of each, taken in turn in one run. [How it is measured](README.md).",
        "",
        "| | Verbatim / nginx | at most | Verbatim | nginx |",
        "|---|---|---|---|---|",
    ]
    for kind, must in ((MANY, f"{JSON_MUST:g}"), (PACED, f"{SSE_MUST:g}"), (STEADY, "-"), (ONE, "-")):
        unit = "chunk" if kind == PACED else "exchange"
        ours, theirs = results.best(kind, VERBATIM).cpu_us, results.best(kind, NGINX).cpu_us
        lines.append(
            f"| CPU per {unit}: {kind} | **{results.ratio(kind):.2f}** | {must} | {ours:.1f} µs | {theirs:.1f} µs |"
        )
    if results.memory is not None:
        pss = "" if results.memory.pss_mb is None else f" ({results.memory.pss_mb:.0f} MB its own share, PSS)"
        lines.append(
            f"| Memory of the worker after {results.memory_after:,} exchanges | | {MEMORY_MUST_MB:.0f} MB |"
            f" {results.memory.rss_mb:.0f} MB{pss} | |"
        )
    return lines


def _windows(results: Results) -> list[str]:
    lines = [
        "| | | rate | worker's core | CPU per unit, all windows | p50 | p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in (MANY, STEADY, ONE, PACED):
        for side in (NGINX, VERBATIM):
            best = results.best(kind, side)
            every = ", ".join(f"{window.cpu_us:.1f}" for window in results.of(kind, side))
            lines.append(
                f"| {kind} | {side} | {best.rate:,.0f}/s | {best.busy:.0%} | {every} µs |"
                f" {best.p50_ms:.2f} ms | {best.p99_ms:.2f} ms |"
            )
    return [*lines, "", "p50 and p99 are of whole answers, for SSE of the time to the first byte."]


def _record(results: Results) -> list[str]:
    lines: list[str] = []
    if (count := results.count) is not None:
        lines += [
            f"Recorded: {count.recorded:,} exchanges of {count.accepted:,} accepted; {count.completed:,} completed for"
            f" {count.answered:,} whole answers that clients got (they gave up {count.sent - count.answered:,} requests"
            f" when a window's time was over). {count.dropped} dropped. The record was whole"
            f" {count.catch_up_seconds:.0f} s after the last answer."
        ]
    if (drain := results.drain) is not None:
        cpu = ", ".join(f"{name} {us:.0f} µs" for name, us in drain.cpu_us.items())
        lines += [
            "",
            f"Drain: one recorder took a backlog of {drain.exchanges:,} JSON exchanges in {drain.seconds:.1f} s,"
            f" **{drain.rate:,.0f}/s** (at least {DRAIN_MUST:,.0f} are needed); CPU per exchange: {cpu}.",
        ]
    if results.recorder_memory is not None:
        held_mb = results.recorder_memory.peak_rss_mb
        lines += [
            "",
            f"The recorder held at most {held_mb:.0f} MB (at most {RECORDER_MUST_MB:.0f} are allowed), requests and"
            f" answers of {BIG_BYTES / 1e6:.0f} MB included.",
        ]
    if results.all_in:
        parts = ", ".join(f"{name} {us:.0f} µs" for name, us in results.all_in)
        lines += ["", f"CPU per exchange over the whole run, streams of 100 chunks included: {parts}."]
    return lines


def _warnings(results: Results) -> list[str]:
    lines: list[str] = []
    for window in results.windows:
        for helper, share in window.helpers.items():
            if share > NEAR_LIMIT and window.busy < NEAR_LIMIT:
                lines.append(
                    f"- {window.kind}, {window.side}: the {helper} took {share:.0%} of a core, the worker only"
                    f" {window.busy:.0%}: the {helper} may have been the limit."
                )
    shares = [
        f"{name} at most {max(window.helpers.get(name, 0.0) for window in results.windows):.0%} of a core"
        for name in ("upstream", "client")
        if results.windows
    ]
    return [f"Helpers: {', '.join(shares)}.", "", *([*lines, ""] if lines else [])]


def _machine(results: Results) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in results.machine), ""]
