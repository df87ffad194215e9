"""Segments that died before they had a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import wall_ns
from app.journal.disk import Disk
from app.journal.segment import NEW_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path


YOUNG_NS = 60_000_000_000


def remove_leftovers(disk: Disk, folder: Path) -> None:
    """Removes `.new` files whose makers are dead: nothing but a header was ever written to them.

    A maker holds the lock but for the instant between making the file and locking it, so what is younger than a minute
    is left to the next start: else two workers that start together could take each other's file away.
    """
    for name in disk.sizes(folder):
        if not name.endswith(NEW_SUFFIX):
            continue
        try:
            fd = disk.open(folder / name)
        except FileNotFoundError:
            # Renamed by its maker, who lives.
            continue
        try:
            is_old = wall_ns() - disk.modified_ns(folder / name) > YOUNG_NS
            if is_old and disk.try_lock(fd):
                disk.unlink(folder / name)
        except FileNotFoundError:
            continue
        finally:
            disk.close(fd)
