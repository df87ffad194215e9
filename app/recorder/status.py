"""What the recorder says of itself, for metrics and heartbeats: plain values, written by the loop alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RecorderStatus:
    """Counts since the recorder was started, and the state of now."""

    lag_seconds: float = 0.0
    """Age of the oldest ended exchange that is not recorded, or of the oldest segment not read to its end."""
    journal_bytes: int = 0
    open_exchanges: int = 0
    held_bytes: int = 0
    batches: int = 0
    rows: int = 0
    """Exchanges that this recorder wrote for the first time."""
    repeated: int = 0
    """Exchanges that were there before."""
    erased: int = 0
    expired: int = 0
    quarantined: int = 0
    raw_only: int = 0
    """Exchanges that PostgreSQL took only without what was derived from them."""
    stored_whole: int = 0
    """Bodies that were to be stored in slices, which would not have given them back; each is kept whole."""
    carried: int = 0
    crashed: int = 0
    """Exchanges whose writer died before their end."""
    segments_let_go: int = 0
    damaged_bytes: int = 0
    errors: int = 0
    """Failed deliveries, tried again."""
    is_ready: bool = False
    """The last delivery or heartbeat came through."""
    is_stuck: bool = False
    """The quarantine is full: what PostgreSQL does not take keeps its segments."""
    last_error: str | None = None
