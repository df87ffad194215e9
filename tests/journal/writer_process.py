"""A writer in a process of its own: FOLDER SECONDS BYTES.

Writes exchanges of many frames and tells on stdout, after each flush, what was acknowledged: the exchange's number, the
frame's sequence and the CRC of its payload, or `refused`. It ends after SECONDS, or is killed before; no file of its
own grows beyond BYTES (0: no limit). Last it tells `ended` and how many bytes it had to drop.
"""

from __future__ import annotations

import os
import random
import resource
import sys
import time
import zlib
from pathlib import Path

from app.exchange import FrameType
from app.journal.writer import JournalRules, JournalWriter
from tests.journal.segments import exchange_id


def main(folder: Path, seconds: float, limit_bytes: int) -> None:
    """Writes until the time is over."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, unlimited[1]))
    rules = JournalRules(fsync=0.02, min_free_bytes=0, max_bytes=1 << 27, segment_bytes=20_000)
    writer = JournalWriter(folder, 0, "host", rules)
    writer.open()
    tell("open")
    chance = random.Random(os.getpid())
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end and os.getppid() != 1:
        number += 1
        log = writer.exchange(exchange_id(number))
        for sequence in range(chance.randrange(2, 6)):
            payload = chance.randbytes(chance.randrange(1, 3_000))
            log.stage(FrameType.RESPONSE_CHUNK if sequence else FrameType.BEGIN, payload)
            if log.flush():
                tell(f"{number} {sequence} {zlib.crc32(payload)}")
            else:
                tell("refused")
                time.sleep(0.01)
    writer.close()
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)  # for what measures coverage
    tell(f"ended {writer.dropped_bytes}")


def tell(line: str) -> None:
    """One call, so that a kill never leaves half a line."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
