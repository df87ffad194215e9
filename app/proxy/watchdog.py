"""Notices an event loop that stands still, from a thread of its own, and says in which line it does."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from types import FrameType

from app.clock import monotonic_ns
from app.telemetry.logs import TRACE_FRAMES, event_logger
from app.telemetry.metrics import Slot, WorkerPage

STALLED_SECONDS = 1.0
BEATS = 4
"""In STALLED_SECONDS."""

_events = event_logger("watchdog")


class LoopWatchdog:
    """Logs `event_loop_stalled` once for each time that the loop was late by STALLED_SECONDS, and counts it.

    The loop leaves the time four times a second and does nothing else for it. A loop that stands still in native code
    lets no thread run, nor does a process that is stopped: that is told afterwards, without the place.
    """

    def __init__(self, metrics: WorkerPage, stalled_seconds: float = STALLED_SECONDS) -> None:
        self._metrics = metrics
        self._stalled_seconds = stalled_seconds
        self._pause_seconds = stalled_seconds / BEATS
        self._beat_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop_thread = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Watches the running loop from here on."""
        self._loop_thread = threading.get_ident()
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; call it on the loop."""
        if self._timer is not None:
            self._timer.cancel()
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        self._beat_ns = monotonic_ns()
        self._timer = asyncio.get_running_loop().call_later(self._pause_seconds, self._beat)

    def _watch(self) -> None:
        told_ns = looked_ns = 0
        while not self._stopped.wait(self._pause_seconds):
            now_ns, before_ns, beat_ns = monotonic_ns(), looked_ns, self._beat_ns
            looked_ns = now_ns
            late_seconds = (now_ns - beat_ns) / 1e9 - self._pause_seconds
            if before_ns and (now_ns - before_ns) / 1e9 - self._pause_seconds >= self._stalled_seconds:
                # The loop may have gone on before this thread could, or not yet.
                held_seconds = (now_ns - before_ns) / 1e9 - self._pause_seconds
                self._tell(held_seconds, "the whole process stood still")
                told_ns = self._beat_ns
            elif late_seconds >= self._stalled_seconds and told_ns != beat_ns:
                told_ns = beat_ns
                self._tell(late_seconds, _place(sys._current_frames().get(self._loop_thread)))

    def _tell(self, late_seconds: float, place: str) -> None:
        # The only writer of this slot is this thread.
        self._metrics.add(Slot.EVENT_LOOP_STALLS)
        _events.error("event_loop_stalled", late_seconds=round(late_seconds, 3), at=place)


def _place(frame: FrameType | None) -> str:
    """The innermost frames, as in a log line of an exception."""
    found = traceback.extract_stack(frame)[-TRACE_FRAMES:] if frame is not None else []
    return " < ".join(f"{'/'.join(each.filename.split('/')[-3:])}:{each.lineno}" for each in reversed(found))
