"""The builder as a process of its own, so that its work delays no delivery and its memory goes when it is done.

Its standard input is one line, the database's URL, and stays open for as long as it is wanted: it ends when its parent
does. It works at a low priority, and ends by itself when there has been nothing to do for a while.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from app.clock import monotonic_ns, utc_now
from app.errors import StoreError
from app.store.database.pool import Pool
from app.store.search.building import Builder

APPLICATION = "verbatim search builder"
NICENESS = 19
PAUSE_SECONDS = 2.0
IDLE_NS = 60_000_000_000
EXIT_FAILED = 3


async def build(url: str) -> None:
    """Builds until there has been nothing to do for IDLE_NS; raises StoreError."""
    pool = Pool(url, size=1, application=APPLICATION)
    builder = Builder(pool)
    busy_ns = monotonic_ns()
    try:
        while monotonic_ns() - busy_ns < IDLE_NS:
            if await builder.run_once(utc_now()):
                busy_ns = monotonic_ns()
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await pool.close()


def main() -> None:
    """The process."""
    os.nice(NICENESS)
    url = sys.stdin.readline().strip()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        asyncio.run(build(url))
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_FAILED)


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
