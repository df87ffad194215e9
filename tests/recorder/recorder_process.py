"""A recorder in a process of its own, which may kill itself at a named point: FOLDER URL [POINT].

in_transaction   a batch is written and not committed
committed        a batch is committed and nothing is settled
accounted        accounts are committed, no file is unlinked
unlinking        the first of several files is unlinked
carry_begun      a carry segment is begun
carry_copied     its frames are written, it is not sealed
carry_sealed     it is part of the journal, the originals are not accounted
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.journal.frame import Frame
from app.journal.reader import JournalDirectory
from app.recorder import carry
from app.recorder.files import CarryCopy, JournalFiles
from app.recorder.process import RecorderOptions, make_recorder
from app.recorder.status import RecorderStatus
from app.store.database.pool import Pool
from app.store.writing.ingest import Ingest
from app.store.writing.record import Delivered, Record, SegmentAccount
from app.telemetry.logs import setup_logging


class Deadly:
    """Dies at its point."""

    def __init__(self, point: str) -> None:
        self.point = point

    def reached(self, point: str) -> None:
        """The process is here."""
        if point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)


class DeadlyIngest(Ingest):
    """Dies inside a transaction or right after a commit."""

    deadly: Deadly

    async def _write_in(self, *arguments: Any) -> Any:
        done = await super()._write_in(*arguments)
        self.deadly.reached("in_transaction")
        return done

    async def deliver(self, records: Sequence[Record], accounts: Sequence[SegmentAccount] = ()) -> Delivered:
        done = await super().deliver(records, accounts)
        self.deadly.reached("committed")
        return done


class DeadlyFiles(JournalFiles):
    """Dies while files are unlinked or copied."""

    deadly: Deadly

    def unlink(self, names: list[str]) -> None:
        self.deadly.reached("accounted")
        for name in names:
            super().unlink([name])
            if len(names) > 1:
                self.deadly.reached("unlinking")

    def begin(self) -> Any:
        copy = super().begin()
        self.deadly.reached("carry_begun")
        return DeadlyCopy(copy, self.deadly)


class DeadlyCopy:
    """A carry segment that may be its recorder's last."""

    def __init__(self, copy: CarryCopy, deadly: Deadly) -> None:
        self._copy = copy
        self._deadly = deadly
        self.segment = copy.segment
        self.abandon = copy.abandon

    def append(self, frame: Frame) -> int:
        return self._copy.append(frame)

    def seal(self) -> None:
        self._deadly.reached("carry_copied")
        self._copy.seal()
        self._deadly.reached("carry_sealed")


async def main(folder: Path, url: str, point: str) -> None:
    """Records until it dies or is told to stop."""
    stop = asyncio.Event()
    threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    deadly = Deadly(point)
    directory = JournalDirectory(folder)
    directory.lock_recorder()
    files = DeadlyFiles(directory, "host")
    files.deadly = deadly
    files.remove_unfinished()
    recorder_id = files.recorder_id()
    pool = Pool(url)
    store = DeadlyIngest(pool, recorder_id)
    store.deadly = deadly
    options = RecorderOptions(
        folder, url, "host", journal_max_bytes=0 if point.startswith("carry") else 1 << 30
    )
    carry.LOOK_NS = 50_000_000
    recorder = make_recorder(options, files, store, RecorderStatus())
    print("ready", flush=True)
    await recorder.run(stop)
    await pool.close()


def _end_with_parent(parent: int) -> None:
    """A test that fails leaves no process behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    setup_logging("info", "recorder")
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
