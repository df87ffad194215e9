"""Who waits for the disk: with fsync `always`, bytes go on only when the fdatasync that covers them is done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class Waiters:
    """Positions of the journal and whom to call on their event loops once all up to them is durable; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, Callable[[], None], asyncio.AbstractEventLoop]] = []
        self.durable_position = 0
        """All up to here is on the disk, or its sync failed: waiting longer would make nothing durable."""

    def add(self, position: int, callback: Callable[[], None]) -> bool:
        """Calls back later; False where nothing needs to be waited for, and then nobody is called."""
        with self._lock:
            if position <= self.durable_position:
                return False
            self._waiting.append((position, callback, asyncio.get_running_loop()))
            return True

    def release(self, position: int) -> bool:
        """All up to the position is durable; True where somebody waits for more."""
        with self._lock:
            self.durable_position = max(self.durable_position, position)
            ready = [each for each in self._waiting if each[0] <= position]
            self._waiting = [each for each in self._waiting if each[0] > position]
            are_more = bool(self._waiting)
        for _, callback, loop in ready:
            if not loop.is_closed():
                loop.call_soon_threadsafe(callback)
        return are_more
