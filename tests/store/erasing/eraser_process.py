"""An eraser in a process of its own, slow enough to be killed on its way: URL."""

from __future__ import annotations

import asyncio
import sys

from app.store.database.pool import Pool
from app.store.erasing import removing, sweeping
from app.store.erasing.running import Eraser


async def main(url: str) -> None:
    """Erases until it is killed."""
    removing.PAGE_ROWS = 1
    sweeping.DELETED_AT_ONCE = 1
    pool = Pool(url, size=1)
    eraser = Eraser(pool)
    print("ready", flush=True)
    while True:
        await eraser.run_once()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
