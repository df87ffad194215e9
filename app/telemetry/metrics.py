"""The proxy's metrics: 8-byte counters in memory that all workers share, and their Prometheus text.

The supervisor makes one anonymous mapping before it forks: one page of 4 KiB a worker. A slot has a single writer, its
worker, so that counting is one store with no lock; whichever worker is asked for `/metrics` adds the pages up.
A worker that is started again goes on with its predecessor's page: counters never step back.
"""

from __future__ import annotations

import enum
import mmap
from dataclasses import dataclass
from typing import Literal

from app.exchange import Outcome

PAGE_BYTES = 4096
SLOT_BYTES = 8
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Slot(enum.IntEnum):
    """Where a number stands in a worker's page; METRICS says what it means."""

    COMPLETED = 0
    CLIENT_LEFT = 1
    UPSTREAM_FAILED = 2
    UPSTREAM_TIMED_OUT = 3
    REFUSED = 4
    PROXY_FAILED = 5
    PROXY_STOPPED = 6
    PROXY_CRASHED = 7
    EXCHANGES_ACCEPTED = 8
    EXCHANGES_IN_FLIGHT = 9
    CLIENT_CONNECTIONS_OPEN = 10
    REQUEST_BYTES = 11
    RESPONSE_BYTES = 12
    JOURNAL_WRITTEN_BYTES = 13
    JOURNAL_FRAMES = 14
    JOURNAL_SLOW_WRITES = 15
    JOURNAL_SUSPECT_SEGMENTS = 16
    JOURNAL_SIZE_BYTES = 17
    JOURNAL_OLDEST_AGE_MS = 18
    DROPPED_JOURNAL_FULL = 19
    DROPPED_JOURNAL_ERROR = 20
    EXCHANGES_OFF = 21
    UPSTREAM_CONNECTIONS_OPENED = 22
    UPSTREAM_CONNECTIONS_REUSED = 23
    UPSTREAM_RETRIES = 24
    UPSTREAM_CONNECTIONS_IDLE = 25
    EVENT_LOOP_LAG_MAX_US = 26
    EVENT_LOOP_STALLS = 27


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a metric: its slot and, where the metric has a label, the label's value."""

    slot: Slot
    label_value: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as `/metrics` shows it."""

    name: str
    sentence: str
    kind: Literal["counter", "gauge"]
    unit: str
    samples: tuple[Sample, ...]
    label: str = ""
    across: Literal["sum", "max"] = "sum"
    """How the workers' numbers become one: `max` where each of them measures the same thing."""
    divisor: int = 1
    """What the slot's integer is divided by to give the unit."""


_OUTCOMES = tuple(Sample(Slot[outcome.name], outcome.value) for outcome in Outcome)
_DROPPED = (
    Sample(Slot.DROPPED_JOURNAL_FULL, "journal_full"),
    Sample(Slot.DROPPED_JOURNAL_ERROR, "journal_error"),
)

METRICS: tuple[Metric, ...] = (
    Metric(
        "verbatim_exchanges_total",
        "Exchanges that ended, by outcome.",
        "counter",
        "exchanges",
        _OUTCOMES,
        "outcome",
    ),
    Metric(
        "verbatim_exchanges_accepted_total",
        "Exchanges whose request head was accepted, recorded or not.",
        "counter",
        "exchanges",
        (Sample(Slot.EXCHANGES_ACCEPTED),),
    ),
    Metric(
        "verbatim_exchanges_in_flight",
        "Exchanges that have begun and not ended.",
        "gauge",
        "exchanges",
        (Sample(Slot.EXCHANGES_IN_FLIGHT),),
    ),
    Metric(
        "verbatim_exchanges_dropped_total",
        "Exchanges that were proxied but could not be recorded, by reason.",
        "counter",
        "exchanges",
        _DROPPED,
        "reason",
    ),
    Metric(
        "verbatim_exchanges_off_total",
        "Exchanges that were not to be recorded (log mode off).",
        "counter",
        "exchanges",
        (Sample(Slot.EXCHANGES_OFF),),
    ),
    Metric(
        "verbatim_client_connections_open",
        "Connections that clients hold open.",
        "gauge",
        "connections",
        (Sample(Slot.CLIENT_CONNECTIONS_OPEN),),
    ),
    Metric(
        "verbatim_request_body_bytes_total",
        "Bytes of request bodies, transfer framing taken off.",
        "counter",
        "bytes",
        (Sample(Slot.REQUEST_BYTES),),
    ),
    Metric(
        "verbatim_response_body_bytes_total",
        "Bytes of answer bodies, transfer framing taken off.",
        "counter",
        "bytes",
        (Sample(Slot.RESPONSE_BYTES),),
    ),
    Metric(
        "verbatim_journal_written_bytes_total",
        "Bytes written to the journal, frame headers included.",
        "counter",
        "bytes",
        (Sample(Slot.JOURNAL_WRITTEN_BYTES),),
    ),
    Metric(
        "verbatim_journal_frames_total",
        "Frames written to the journal.",
        "counter",
        "frames",
        (Sample(Slot.JOURNAL_FRAMES),),
    ),
    Metric(
        "verbatim_journal_slow_writes_total",
        "Writes to the journal that held the event loop for long.",
        "counter",
        "writes",
        (Sample(Slot.JOURNAL_SLOW_WRITES),),
    ),
    Metric(
        "verbatim_journal_suspect_segments_total",
        "Segments that were closed because the disk reported an error.",
        "counter",
        "segments",
        (Sample(Slot.JOURNAL_SUSPECT_SEGMENTS),),
    ),
    Metric(
        "verbatim_journal_size_bytes",
        "Size of the journal's directory, as last measured.",
        "gauge",
        "bytes",
        (Sample(Slot.JOURNAL_SIZE_BYTES),),
        across="max",
    ),
    Metric(
        "verbatim_journal_oldest_age_seconds",
        "Age of the oldest segment that is not yet in the store, as last measured.",
        "gauge",
        "seconds",
        (Sample(Slot.JOURNAL_OLDEST_AGE_MS),),
        across="max",
        divisor=1000,
    ),
    Metric(
        "verbatim_upstream_connections_opened_total",
        "Connections opened to upstreams.",
        "counter",
        "connections",
        (Sample(Slot.UPSTREAM_CONNECTIONS_OPENED),),
    ),
    Metric(
        "verbatim_upstream_connections_reused_total",
        "Calls that went out on a connection that was kept alive.",
        "counter",
        "connections",
        (Sample(Slot.UPSTREAM_CONNECTIONS_REUSED),),
    ),
    Metric(
        "verbatim_upstream_retries_total",
        "Calls sent again on a fresh connection because a kept-alive one had ended before any answer.",
        "counter",
        "retries",
        (Sample(Slot.UPSTREAM_RETRIES),),
    ),
    Metric(
        "verbatim_upstream_connections_idle",
        "Upstream connections kept alive with no call on them.",
        "gauge",
        "connections",
        (Sample(Slot.UPSTREAM_CONNECTIONS_IDLE),),
    ),
    Metric(
        "verbatim_event_loop_lag_max_seconds",
        "Longest time that a worker's event loop was late since the worker started.",
        "gauge",
        "seconds",
        (Sample(Slot.EVENT_LOOP_LAG_MAX_US),),
        across="max",
        divisor=1_000_000,
    ),
    Metric(
        "verbatim_event_loop_stalls_total",
        "Times that a worker's event loop stood still for a second or more.",
        "counter",
        "stalls",
        (Sample(Slot.EVENT_LOOP_STALLS),),
    ),
)

OUTCOME_SLOTS: dict[Outcome, Slot] = {outcome: Slot[outcome.name] for outcome in Outcome}
"""The slot that counts each outcome."""


class WorkerPage:
    """One worker's numbers; only that worker may write them."""

    __slots__ = ("_cells",)

    def __init__(self, cells: memoryview) -> None:
        # Signed, so that a gauge that is counted down too often shows as negative and never raises in an exchange.
        self._cells = cells.cast("q")

    def add(self, slot: int, amount: int = 1) -> None:
        """Counts up, or down for a gauge."""
        self._cells[slot] += amount

    def set(self, slot: int, value: int) -> None:
        """Puts a gauge."""
        self._cells[slot] = value

    def get(self, slot: int) -> int:
        """The number as it stands."""
        return self._cells[slot]

    def clear_gauges(self) -> None:
        """Puts every gauge to zero; for a worker that starts on the page of one that died."""
        for metric in METRICS:
            if metric.kind == "gauge":
                for sample in metric.samples:
                    self._cells[sample.slot] = 0

    def __repr__(self) -> str:
        used = ", ".join(f"{slot.name}={self._cells[slot]}" for slot in Slot if self._cells[slot])
        return f"<WorkerPage {used or 'empty'}>"


class MetricsMap:
    """The pages of all workers; make it before forking."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        # Anonymous and shared: children see each other's pages, nothing of it is on a disk.
        self._memory = memoryview(mmap.mmap(-1, workers * PAGE_BYTES))
        self._pages = tuple(
            WorkerPage(self._memory[index * PAGE_BYTES : (index + 1) * PAGE_BYTES])
            for index in range(workers)
        )

    def page(self, index: int) -> WorkerPage:
        """The page of worker `index`, counted from 0."""
        return self._pages[index]

    def total(self, slot: int) -> int:
        """A slot's sum over all workers."""
        return sum(page.get(slot) for page in self._pages)

    def largest(self, slot: int) -> int:
        """A slot's greatest value among the workers."""
        return max(page.get(slot) for page in self._pages)


def render(pages: MetricsMap) -> bytes:
    """All metrics as Prometheus text (CONTENT_TYPE), UTF-8."""
    return "".join(_render_metric(metric, pages) for metric in METRICS).encode()


def _render_metric(metric: Metric, pages: MetricsMap) -> str:
    read = pages.largest if metric.across == "max" else pages.total
    lines = [f"# HELP {metric.name} {metric.sentence}", f"# TYPE {metric.name} {metric.kind}"]
    for sample in metric.samples:
        value: float = read(sample.slot)
        if metric.divisor != 1:
            value /= metric.divisor
        labels = f'{{{metric.label}="{sample.label_value}"}}' if metric.label else ""
        lines.append(f"{metric.name}{labels} {value}")
    return "\n".join(lines) + "\n"
