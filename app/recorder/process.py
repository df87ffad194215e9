"""The recorder as a process: its parts put together, run until told to stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from app.journal.reader import JournalDirectory
from app.recorder.assemble import Assembler
from app.recorder.carry import Carrier
from app.recorder.delivery import Delivery
from app.recorder.erasing import DiskErasing, keep_erased
from app.recorder.files import JournalFiles
from app.recorder.housekeeping import keep_horizon
from app.recorder.loop import Recorder
from app.recorder.prices import Prices
from app.recorder.quarantine import QuarantineFolder
from app.recorder.searchable import keep_searchable
from app.recorder.status import RecorderStatus
from app.recorder.tail import JournalTail
from app.store.database.arrays import tell_arrays_by_type
from app.store.database.pool import Pool
from app.store.database.retention import Horizon
from app.store.erasing.reports import Reports
from app.store.writing.ingest import Ingest
from app.telemetry.logs import event_logger
from app.telemetry.tasks import spawn

_events = event_logger("recorder")


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """What a recorder needs to know."""

    journal_dir: Path
    database_url: str
    hostname: str
    admin_url: str | None = None
    """Of a role that may drop tables, for retention and erasures; None where `database_url` may."""
    journal_max_bytes: int = 10 << 30
    horizon: Horizon = field(default_factory=Horizon)
    drain_seconds: float = 30.0
    """How long it goes on delivering once it is told to stop."""
    prices: Prices = field(default_factory=Prices)


async def run_recorder(
    options: RecorderOptions, stop: asyncio.Event, status: RecorderStatus | None = None
) -> None:
    """Records until `stop` is set, then what is left, for at most `drain_seconds`; the rest stays in the journal.

    Raises JournalError where the journal cannot be used or another recorder has it.
    """
    status = status if status is not None else RecorderStatus()
    tell_arrays_by_type()
    directory = JournalDirectory(options.journal_dir)
    directory.lock_recorder()
    files = JournalFiles(directory, options.hostname)
    files.remove_unfinished()
    recorder_id = files.recorder_id()
    pool = Pool(options.database_url, size=2, application="verbatim recorder")
    store = Ingest(pool, recorder_id, options.horizon)
    recorder = make_recorder(options, files, store, status)
    task = spawn(recorder.run(stop), name="recorder")
    stopped = spawn(stop.wait(), name="recorder_stop")
    admin_url = options.admin_url or options.database_url
    keeper = spawn(keep_horizon(admin_url, options.horizon), name="retention")
    disk = DiskErasing(files, recorder.segments, Reports(pool, recorder_id))
    erasing = spawn(keep_erased(admin_url, disk), name="erasing")
    searchable = spawn(keep_searchable(options.database_url), name="searchable")
    _events.info("recorder_started", recorder=str(recorder_id))
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        done, _ = await asyncio.wait({task}, timeout=options.drain_seconds)
        if not done:
            _events.warning("recorder_not_drained", journal_bytes=directory.bytes_used())
        else:
            task.result()
    finally:
        tasks = (task, stopped, keeper, erasing, searchable)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pool.close()
        directory.unlock_recorder()
    _events.info("recorder_stopped", rows=status.rows)


def make_recorder(
    options: RecorderOptions, files: JournalFiles, store: Ingest, status: RecorderStatus
) -> Recorder:
    """A recorder over these files and this store."""
    assembler = Assembler()
    tail = JournalTail(files, assembler, status)
    carrier = Carrier(files, options.journal_max_bytes, status)
    parts: list[Recorder] = []
    delivery = Delivery(store, QuarantineFolder(files), status, options.hostname, lambda: parts[0].measure())
    parts.append(Recorder(files, tail, assembler, delivery, carrier, status, options.prices))
    return parts[0]
