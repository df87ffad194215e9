"""One Markdown page of a run, ratios first. Pure."""

from __future__ import annotations

from bench.backlog import BIG_BYTES
from bench.goals import figures
from bench.loads import (
    COMPARED,
    DIRECT,
    LATENCIES,
    LITELLM,
    MANY,
    NGINX,
    ONE,
    PACED,
    USUAL,
    VERBATIM,
)
from bench.plan import DRAIN_MUST, JSON_MUST, MEMORY_MUST_MB, RECORDER_MUST_MB, SSE_MUST
from bench.results import Results

NEAR_LIMIT = 0.9
"""Share of a core from which on a helper of the run may have been what was measured."""
_LIMITS = {MANY: f"{JSON_MUST:g}", PACED: f"{SSE_MUST:g}"}


def render(results: Results) -> str:
    """The Markdown page."""
    parts = [
        _ratios(results),
        _goals(results),
        _latency(results),
        _peers(results),
        _windows(results),
        _record(results),
        _processes(results),
        _warnings(results),
        _machine(results),
    ]
    return "\n".join("\n".join([*part, ""]) for part in parts if part)


def _ratios(results: Results) -> list[str]:
    lines = [
        "# What recording costs, beside nginx",
        "",
        "CPU (user and system) of Verbatim's worker, which records every exchange, against that of nginx's worker,"
        " which records nothing: best window of each, taken in turn in one run. [How it is measured](README.md)."
        " The run fails above `at most`.",
        "",
        "![Ratios](latest.svg)",
        "",
        "| | Verbatim / nginx | at most | Verbatim | nginx |",
        "|---|---|---|---|---|",
    ]
    for load in COMPARED:
        if results.has(load, VERBATIM, NGINX):
            ours, theirs = results.best(load, VERBATIM).cpu_us, results.best(load, NGINX).cpu_us
            lines.append(
                f"| CPU per {load.unit}: {load.name} | **{results.ratio(load):.2f}** | {_LIMITS.get(load, '-')} |"
                f" {ours:.1f} µs | {theirs:.1f} µs |"
            )
    if results.memory is not None:
        pss = "" if results.memory.pss_mb is None else f" ({results.memory.pss_mb:.0f} MB its own share, PSS)"
        lines.append(
            f"| Memory of the worker after {results.memory_after:,} exchanges | | {MEMORY_MUST_MB:.0f} MB |"
            f" {results.memory.rss_mb:.0f} MB{pss} | |"
        )
    return lines


def _goals(results: Results) -> list[str]:
    lines = ["## Beside the goals", "", "| | measured | goal | must | holds |", "|---|---|---|---|---|"]
    for each in figures(results):
        value = "-" if each.value is None else each.told(each.value)
        lines.append(
            f"| {each.name} | {value} | {each.told(each.goal)} | {each.told(each.must)} | {each.verdict} |"
        )
    return lines


def _latency(results: Results) -> list[str]:
    lines = [
        "## Latency",
        "",
        "Added to a direct call's, the recorder held meanwhile; for paced streams the time to the first byte, the"
        " recorder at work. The least p50 and the least p99 of all windows.",
        "",
        "| | direct: p50 | p99 | nginx adds: p50 | p99 | Verbatim adds: p50 | p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    for load in (*LATENCIES, PACED):
        if results.has(load, DIRECT, NGINX, VERBATIM):
            shown = [results.latency_ms(load, DIRECT)]
            shown += [results.added_ms(load, side) for side in (NGINX, VERBATIM)]
            cells = " | ".join(f"{value:.3f} ms" for pair in shown for value in pair)
            lines.append(f"| {load.name} | {cells} |")
    return lines if len(lines) > 6 else []


def _peers(results: Results) -> list[str]:
    sides = [side for side in (NGINX, VERBATIM, USUAL, LITELLM) if results.has(MANY, side)]
    if len(sides) < 3:
        return []
    lines = [
        "## Beside others",
        "",
        "CPU of each one's worker; only Verbatim records.",
        "",
        f"| | {' | '.join(sides)} |",
        f"|---|{'---|' * len(sides)}",
    ]
    for load in (MANY, ONE, PACED):
        cells = []
        for side in sides:
            if not results.has(load, side):
                cells.append("-")
                continue
            times = results.ratio(load, side, VERBATIM)
            cells.append(
                f"{results.best(load, side).cpu_us:,.1f} µs, **{times:.{1 if times < 10 else 0}f}×**"
            )
        lines.append(f"| CPU per {load.unit}: {load.name} | {' | '.join(cells)} |")
    return lines


def _windows(results: Results) -> list[str]:
    lines = [
        "## All windows",
        "",
        "| | | rate | worker's core | CPU per unit, all windows | p50 | p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    for load in (*COMPARED, *LATENCIES):
        for side in (DIRECT, NGINX, VERBATIM, USUAL, LITELLM):
            if not results.has(load, side):
                continue
            best = results.best(load, side)
            every = ", ".join(f"{window.cpu_us:.1f}" for window in results.of(load, side))
            lines.append(
                f"| {load.name} | {side} | {best.rate:,.0f}/s | {best.busy:.0%} | {every} µs |"
                f" {best.p50_ms:.2f} ms | {best.p99_ms:.2f} ms |"
            )
    return [*lines, "", "p50 and p99 are of whole answers, for paced streams of the time to the first byte."]


def _record(results: Results) -> list[str]:
    lines = ["## The record", ""]
    if (count := results.count) is not None:
        lines += [
            f"Recorded: {count.recorded:,} exchanges of {count.accepted:,} accepted; {count.completed:,} completed for"
            f" {count.answered:,} whole answers that clients got (they gave up {count.sent - count.answered:,} requests"
            f" when a window's time was over). {count.dropped} dropped. The record was whole"
            f" {count.catch_up_seconds:.0f} s after the last answer."
        ]
    if (drain := results.drain) is not None:
        cpu = ", ".join(f"{name} {us:.0f} µs" for name, us in drain.cpu_us.items())
        every = ", ".join(f"{each.rate:,.0f}/s and {each.recording_us:.0f} µs" for each in results.drains)
        lines += [
            "",
            f"Drain: with the recorder held, the worker took {drain.made_rate:,.0f} exchanges/s into its journal; then"
            f" one recorder took these {drain.exchanges:,} out of it in {drain.seconds:.1f} s,"
            f" **{drain.rate:,.0f}/s** (at least {DRAIN_MUST:,.0f} are needed); CPU per exchange: {cpu}."
            f" Every backlog, its rate and the CPU of recorder and PostgreSQL: {every}.",
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
        lines += [
            "",
            f"CPU per exchange over the whole run, streams of 100 chunks and requests of 1 MB included: {parts}.",
        ]
    return lines


def _processes(results: Results) -> list[str]:
    lines = ["## Processes", ""]
    if len(results.soaked) > 1:
        told = ", ".join(f"{each.memory.rss_mb:.1f} MB after {each.exchanges:,}" for each in results.soaked)
        lines += [f"Memory of the worker: {told} exchanges.", ""]
    if results.scaled:
        one = results.scaled[0].rate
        told = "; ".join(
            f"`VERBATIM_WORKERS={each.workers}` {each.rate:,.0f}/s (**{each.rate / one:.2f}×**),"
            f" {each.cpu_us:.1f} µs each"
            for each in results.scaled
        )
        lines += [
            f"JSON exchanges with more workers: {told}. Client and upstream share the cores with them, so this is"
            " less than workers with cores of their own would bring; the CPU of each exchange tells what they cost"
            " each other.",
            "",
        ]
    if results.started is not None:
        idle = results.started.idle_pss_mb
        lines.append(
            f"`verbatim proxy` answers after {results.started.proxy_cpu_seconds:.2f} s of CPU;"
            f" `verbatim serve`, idle, holds {'?' if idle is None else f'{idle:.0f}'} MB (PSS of all its processes"
            " but PostgreSQL)."
        )
    return lines if len(lines) > 2 else []


def _warnings(results: Results) -> list[str]:
    lines: list[str] = []
    for window in results.windows:
        if window.side == DIRECT:
            continue
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
    return [f"Helpers: {', '.join(shares)}.", *(["", *lines] if lines else [])]


def _machine(results: Results) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in results.machine)]
