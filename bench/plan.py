"""How much is run and what must hold. Pure."""

from __future__ import annotations

from dataclasses import dataclass

JSON_MUST = 4.0
"""CPU per recorded JSON exchange at 50 connections, times nginx's, at most."""
SSE_MUST = 2.5
"""CPU per paced chunk, times nginx's, at most."""
MEMORY_MUST_MB = 80.0
"""Resident memory of the worker after MEMORY_AFTER exchanges, at most."""
MEMORY_AFTER = 100_000
DRAIN_MUST = 2_000.0
"""Exchanges a second that one recorder with PostgreSQL takes out of a journal, at least."""
RECORDER_MUST_MB = 300.0
"""Resident memory of the recorder at any time, bodies of 100 MB included, at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Bounds of one run; every window is run once for each side, in turn."""

    windows: int
    """Of what must hold and of what is measured with it."""
    more_windows: int
    """Of everything else."""
    one_seconds: int
    """Length of a window at one connection, and of one at a steady rate."""
    many_seconds: int
    """Length of a window at 50 connections."""
    many_exchanges: int
    """A window at 50 connections is made shorter where it would record more than about this many."""
    rounds: int
    """Streams one after another on each connection of a window."""
    fill_to: int
    """Exchanges that the worker shall have had when its memory is read; 0: read it whatever there was."""
    catch_up_seconds: float
    """How long the recorder may take to deliver what is left at the end."""
    limit_seconds: float
    """The whole run."""
    drains: int = 0
    """Backlogs that the recorder works off, one after another."""
    drain_exchanges: int = 10_000
    """What clients make as a backlog, at least."""
    big_bodies: int = 0
    """Requests, and answers, of 100 MB."""
    soak_to: int = 0
    """Exchanges after which the worker's memory is read again; 0: it is not."""
    scale_to: int = 1
    """Workers that are set beside one; 1: none."""
    streams: int = 50
    spacing_seconds: float = 0.020
    connections: int = 50


FULL = Plan(
    windows=4,
    more_windows=3,
    one_seconds=2,
    many_seconds=3,
    many_exchanges=30_000,
    rounds=2,
    fill_to=MEMORY_AFTER,
    catch_up_seconds=150,
    limit_seconds=780,
    drains=3,
    big_bodies=2,
    scale_to=2,
)
QUICK = Plan(
    windows=2,
    more_windows=1,
    one_seconds=1,
    many_seconds=1,
    many_exchanges=10_000,
    rounds=1,
    fill_to=0,
    catch_up_seconds=60,
    limit_seconds=160,
)
SOAK_RATE = 1_000.0
"""Exchanges a second that a soak may count on, in making and recording them."""


def window_seconds(plan: Plan, rate: float) -> int:
    """Length of a window at 50 connections for a rate of exchanges a second, seen when warming up."""
    return max(1, min(plan.many_seconds, int(plan.many_exchanges / rate) if rate else plan.many_seconds))
