"""The goals, and how far a run is from each; they are shown and not enforced. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bench.loads import LATENCY_ONE, LITELLM, MANY, NGINX, PACED, USUAL, VERBATIM
from bench.plan import MEMORY_AFTER
from bench.results import Results, Soaked

_MANY_EXCHANGES = 1_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure beside its goal."""

    name: str
    value: float | None
    """None where this run did not measure it."""
    goal: float
    must: float
    unit: str = ""
    digits: int = 0
    is_more_better: bool = False

    @property
    def verdict(self) -> str:
        """Which of the two it holds."""
        if self.value is None:
            return "not measured"
        sign = -1 if self.is_more_better else 1
        if sign * self.value <= sign * self.goal:
            return "goal"
        return "must" if sign * self.value <= sign * self.must else "**missed**"

    def told(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:,.{self.digits}f}{self.unit}"


def figures(results: Results) -> list[Figure]:
    """All of them, in the order of the page."""
    return [*_beside_nginx(results), *_of_the_record(results), *_of_processes(results)]


def _beside_nginx(results: Results) -> list[Figure]:
    p50_ratio = p99_ms = None
    if results.has(LATENCY_ONE, NGINX, VERBATIM):
        ours, theirs = results.added_ms(LATENCY_ONE, VERBATIM), results.added_ms(LATENCY_ONE, NGINX)
        p50_ratio, p99_ms = ours[0] / max(theirs[0], 1e-6), ours[1]
    beside = {
        name: results.ratio(MANY, name, VERBATIM) for name in (USUAL, LITELLM) if results.has(MANY, name)
    }
    return [
        Figure("CPU per JSON exchange, 50 connections, times nginx's", results.ratio(MANY), 1.6, 2.2, "", 2),
        Figure("CPU per paced chunk, times nginx's", results.ratio(PACED), 1.2, 1.6, "", 2),
        Figure("added latency, 1 connection: p50, times nginx's", p50_ratio, 1.25, 2.0, "", 2),
        Figure("added latency, 1 connection: p99", p99_ms, 0.5, 1.0, " ms", 2),
        Figure("CPU per exchange, times less than LiteLLM's", beside.get(LITELLM), 250, 100, "", 0, True),
    ]


def _of_the_record(results: Results) -> list[Figure]:
    drain, count = results.drain, results.count
    cpu_us = rate = None
    made = max(window.rate for window in results.of(MANY, VERBATIM))
    if drain is not None:
        cpu_us, rate = min(each.recording_us for each in results.drains), drain.rate
        made = max(made, drain.made_rate)
    lost = None if count is None else float(abs(count.accepted - count.recorded) + count.dropped)
    return [
        Figure("exchanges a second into the journal, one core", made, 20_000, 10_000, "/s", 0, True),
        Figure("CPU per exchange, recorder and PostgreSQL", cpu_us, 120, 200, " µs"),
        Figure("exchanges a second out of the journal", rate, 6_000, 3_000, "/s", 0, True),
        Figure("accepted exchanges that are not recorded exactly once", lost, 0, 0),
    ]


def _of_processes(results: Results) -> list[Figure]:
    begun = _soaked(results, MEMORY_AFTER, most=_MANY_EXCHANGES - 1)
    ended = _soaked(results, _MANY_EXCHANGES)
    grown = None if begun is None or ended is None else ended.memory.rss_mb - begun.memory.rss_mb
    started = results.started
    return [
        Figure(
            f"memory of the worker after {_MANY_EXCHANGES:,} exchanges",
            None if ended is None else ended.memory.rss_mb,
            *(60, 80),
            " MB",
        ),
        Figure(f"its growth since {MEMORY_AFTER:,}", grown, 0, 2, " MB", 1),
        Figure(
            "`verbatim proxy`: CPU until it answers",
            None if started is None else started.proxy_cpu_seconds,
            *(0.5, 0.5),
            " s",
            2,
        ),
        Figure(
            "`verbatim serve`, idle, without PostgreSQL (PSS)",
            None if started is None else started.idle_pss_mb,
            *(200, 200),
            " MB",
        ),
    ]


def _soaked(results: Results, least: int, most: int | None = None) -> Soaked | None:
    """The first reading after so many exchanges and no more than that."""
    for each in results.soaked:
        if each.exchanges >= least and (most is None or each.exchanges <= most):
            return each
    return None
