"""How much room the journal has: its budget, the disk's free space, and a ballast for bad times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import monotonic_ns
from app.journal.disk import Disk
from app.telemetry.logs import event_logger

if TYPE_CHECKING:
    from pathlib import Path

LOOK_NS = 1_000_000_000
BALLAST_BYTES = 16 << 20
BALLAST = "ballast"
_BALLAST_PART = 16
"""No ballast where the whole budget is less than so many ballasts."""
_ROOM_AGAIN = 0.95
"""Room is taken for there again below this part of the budget, so that the state does not flap."""

_events = event_logger("journal")


class Space:
    """The disk policy's view; looked at by the writer's thread about once a second."""

    def __init__(self, disk: Disk, folder: Path, max_bytes: int, min_free_bytes: int) -> None:
        self._disk = disk
        self._folder = folder
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._looked_ns = 0
        self._has_ballast = False
        self.used_bytes = 0
        self.is_full = False
        """Nothing new is to be recorded; set at once by a write that failed, cleared by a look that found room."""

    def look_if_due(self) -> None:
        """Looks if the last look is a second old, or at once while full."""
        if self.is_full or monotonic_ns() - self._looked_ns > LOOK_NS:
            self.look()

    def look(self) -> None:
        """Measures, decides, and keeps the ballast accordingly."""
        self._looked_ns = monotonic_ns()
        was_full = self.is_full
        try:
            sizes = self._disk.sizes(self._folder)
            free = self._disk.free_bytes(self._folder)
        except OSError as error:
            self.is_full = True
            if not was_full:
                _events.error("journal_folder_lost", folder=str(self._folder), error=str(error))
            return
        self.used_bytes = sum(size for name, size in sizes.items() if name != BALLAST)
        self._has_ballast = BALLAST in sizes
        limit = self._max_bytes * (_ROOM_AGAIN if was_full else 1)
        needed_free = self._min_free_bytes + (BALLAST_BYTES if was_full and not self._has_ballast else 0)
        self.is_full = self.used_bytes >= limit or free < needed_free
        if self.is_full != was_full:
            event = "journal_full" if self.is_full else "journal_has_room"
            _events.warning(event, used_bytes=self.used_bytes, free_bytes=free)
        if self.is_full:
            self.drop_ballast()
        elif not self._has_ballast and self._max_bytes >= _BALLAST_PART * BALLAST_BYTES:
            self._make_ballast()

    def drop_ballast(self) -> None:
        """Makes room for ends and notes."""
        if self._has_ballast:
            self._has_ballast = False
            self._disk.unlink(self._folder / BALLAST)

    def _make_ballast(self) -> None:
        try:
            self._disk.allocate(self._folder / BALLAST, BALLAST_BYTES)
            self._has_ballast = True
        except OSError:
            # No room for a ballast is no reason not to record; what was made of it must go.
            self._disk.unlink(self._folder / BALLAST)
