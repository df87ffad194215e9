"""What is delivered together: up to 500 exchanges, 8 MiB, or what came within 100 ms."""

from __future__ import annotations

from app.recorder.transcript import Transcript
from app.store.writing.record import Record

BATCH_ROWS = 500
BATCH_BYTES = 8 << 20
BATCH_NS = 100_000_000


class Batch:
    """Ended exchanges with their records, in the order in which they ended."""

    __slots__ = ("_opened_ns", "_size_bytes", "items")

    def __init__(self) -> None:
        self.items: list[tuple[Transcript, Record]] = []
        self._size_bytes = 0
        self._opened_ns = 0

    def __repr__(self) -> str:
        return f"<Batch rows={len(self.items)} bytes={self._size_bytes}>"

    def __len__(self) -> int:
        return len(self.items)

    @property
    def is_full(self) -> bool:
        """No more should be added."""
        return len(self.items) >= BATCH_ROWS or self._size_bytes >= BATCH_BYTES

    def add(self, transcript: Transcript, record: Record) -> None:
        """Adds an exchange; the batch's time starts with the first one's end."""
        if not self.items:
            self._opened_ns = transcript.ended_ns
        self.items.append((transcript, record))
        self._size_bytes += transcript.request.length_bytes + transcript.response.length_bytes

    def is_due(self, now_ns: int) -> bool:
        """It is full, or its oldest exchange waits for 100 ms."""
        return self.is_full or (bool(self.items) and now_ns - self._opened_ns >= BATCH_NS)

    def age_seconds(self, now_ns: int) -> float:
        """Seconds since the oldest exchange's end was seen; 0 where there is none."""
        return max(0, now_ns - self._opened_ns) / 1e9 if self.items else 0.0
