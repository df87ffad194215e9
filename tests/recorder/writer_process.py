"""A worker's journal in a process of its own that waits to be killed: FOLDER EXCHANGES STREAMS.

Whole exchanges and streams that never end, in turns, over many small segments. Prints the id of each and a digest of
its bytes, then `written`.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import time
from pathlib import Path

from tests.recorder.journals import Exchange, open_writer, write_exchange


def main(folder: Path, exchanges: int, streams: int) -> None:
    """Writes, tells what it wrote, and waits."""
    writer = open_writer(folder, segment_bytes=5_000)
    chance = random.Random(exchanges)
    open_ones = [Exchange(writer) for _ in range(streams)]
    for each in open_ones:
        each.ask(b"{}")
        each.head()
    whole = []
    for _ in range(exchanges):
        for each in open_ones:
            each.tell(chance.randbytes(chance.randrange(1, 900)))
        whole.append(write_exchange(writer, answer=chance.randbytes(50), pieces=3))
        time.sleep(0.001)  # rotation is another thread's
    for each in [*open_ones, *whole]:
        print(each.id.hex(), len(each.answer), hashlib.sha256(each.answer).hexdigest())
    print("written", flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # a test that fails leaves no process behind
        time.sleep(0.5)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
