"""How much room the journal has: its budget, the disk's free space, and a ballast for bad times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import monotonic_ns
from app.journal.disk import Disk
from app.telemetry.logs import event_logger

if TYPE_CHECKING:
    from pathlib import Path

LOOK_NS = 1_000_000_000
LOOK_AGAIN_NS = 100_000_000
"""While full."""
BALLAST_BYTES = 16 << 20
"""At most."""
BALLAST = "ballast"
_BALLAST_PART = 16
"""The ballast takes at most one part in so many of the disk; none where the budget is less than so many ballasts."""
_ROOM_AGAIN = 0.95
"""Room is taken for there again below this part of the budget, so that the state does not flap."""
_LOOK_SHARE = 20
"""Looking at a folder of many thousand segments takes at most one part in so many of the time."""

_events = event_logger("journal")


class Space:
    """The disk policy's view; looked at by the writer's thread about once a second."""

    def __init__(self, disk: Disk, folder: Path, max_bytes: int, min_free_bytes: int) -> None:
        self._disk = disk
        self._folder = folder
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._wants_ballast = max_bytes >= _BALLAST_PART * BALLAST_BYTES
        self._next_look_ns = 0
        self._has_ballast = False
        self._has_failed = False
        self._is_said_full = False
        self._is_said_stuck = False
        self.used_bytes = 0
        self.names: frozenset[str] | None = frozenset()
        """Files that were there at the last look; None where it failed."""
        self.is_full = False
        """Nothing new is to be recorded; set at once by a write that failed, cleared by a look that found room."""

    def write_failed(self) -> None:
        """Takes note that the disk refused a write, whatever its free space is said to be. Any thread may call it."""
        self._has_failed = True
        self.is_full = True

    def look_if_due(self) -> bool:
        """Looks if the last look is a second old, sooner while full; True where it looked."""
        if not self._has_failed and monotonic_ns() < self._next_look_ns:
            return False
        self.look()
        return True

    def look(self) -> None:
        """Measures, decides, and keeps the ballast accordingly."""
        began_ns = monotonic_ns()
        was_full = self.is_full
        self.is_full = self._decide(was_full)
        took_ns = monotonic_ns() - began_ns
        self._next_look_ns = began_ns + max(LOOK_AGAIN_NS if self.is_full else LOOK_NS, _LOOK_SHARE * took_ns)
        if self._has_failed:  # by a write of the event loop's while this looked
            self.is_full = True

    def _decide(self, was_full: bool) -> bool:
        has_failed, self._has_failed = self._has_failed, False
        try:
            sizes = self._disk.sizes(self._folder)
            free = self._disk.free_bytes(self._folder)
            ballast_bytes = min(BALLAST_BYTES, self._disk.whole_bytes(self._folder) // _BALLAST_PART)
        except OSError as error:
            self.names = frozenset() if isinstance(error, FileNotFoundError) else None
            if not was_full:
                _events.error("journal_folder_lost", folder=str(self._folder), error=str(error))
            return True
        self.names = frozenset(sizes)
        self.used_bytes = sum(size for name, size in sizes.items() if name != BALLAST)
        self._has_ballast = BALLAST in sizes
        limit = self._max_bytes * (_ROOM_AGAIN if was_full else 1)
        needs_ballast = self._wants_ballast and not self._has_ballast
        needed_free = self._min_free_bytes + (ballast_bytes if was_full and needs_ballast else 0)
        is_full = self.used_bytes >= limit or free < needed_free
        if is_full or has_failed:
            self.drop_ballast()
            is_full = True
        elif needs_ballast and not self._make_ballast(ballast_bytes):
            # Under a quota statvfs knows of no limit; that the ballast can be made again proves that there is room.
            is_full = was_full
        if is_full != self._is_said_full:
            self._is_said_full = is_full
            event = "journal_full" if is_full else "journal_has_room"
            _events.warning(event, used_bytes=self.used_bytes, free_bytes=free)
        return is_full

    def drop_ballast(self) -> None:
        """Makes room for ends and notes."""
        if self._has_ballast:
            self._has_ballast = False
            self._remove_ballast()

    def _make_ballast(self, size_bytes: int) -> bool:
        try:
            self._disk.allocate(self._folder / BALLAST, size_bytes)
        except OSError:
            self._remove_ballast()
            return False
        self._has_ballast = True
        return True

    def _remove_ballast(self) -> None:
        try:
            self._disk.unlink(self._folder / BALLAST)
        except OSError as error:
            if not self._is_said_stuck:
                _events.warning("ballast_not_removed", folder=str(self._folder), error=str(error))
            self._is_said_stuck = True
        else:
            self._is_said_stuck = False
