"""Segments that died before they had a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.journal.disk import Disk
from app.journal.segment import NEW_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path


def remove_leftovers(disk: Disk, folder: Path) -> None:
    """Removes `.new` files whose makers are dead: nothing but a header was ever written to them."""
    for name in disk.sizes(folder):
        if not name.endswith(NEW_SUFFIX):
            continue
        try:
            fd = disk.open(folder / name)
        except FileNotFoundError:
            # Renamed by its maker, who lives.
            continue
        try:
            if disk.try_lock(fd):
                disk.unlink(folder / name)
        finally:
            disk.close(fd)
