"""A process that owns an embedded PostgreSQL: says its URL and pid, then waits to be killed or for its stdin to end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.errors import EmbeddedDatabaseError
from app.store.database.embedded import EmbeddedPostgres

if __name__ == "__main__":
    if len(sys.argv) > 2:
        # Only now: the interpreter itself may lie where that user cannot read.
        os.setgroups([])
        os.setgid(int(sys.argv[2]))
        os.setuid(int(sys.argv[2]))
    server = EmbeddedPostgres(Path(sys.argv[1]), {"fsync": "off"})
    try:
        url = server.start()
    except EmbeddedDatabaseError as error:
        print("error", error, flush=True)
        raise SystemExit(1) from None
    print("url", url, server.process.pid if server.process else 0, flush=True)
    sys.stdin.read()
    server.stop()
    print("stopped", flush=True)
