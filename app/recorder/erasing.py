"""Erasures on this recorder's side: has rows erased from the tables, and tells when its disk has nothing of them.

Frames of what is erased leave the journal as all frames do: their exchange ends, is delivered, is stopped there by a
tombstone, and its segments are let go. So what was on the disk when an erasure was first seen is waited for, and each
segment since then with frames of an exchange that was stopped. Nothing is kept of this; a restart begins anew.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.errors import JournalError, StoreError
from app.journal.reader import SegmentReader
from app.recorder.files import FRAMES_SUFFIX
from app.recorder.record import make_record
from app.recorder.segment import Segment
from app.recorder.set_aside import transcript_in
from app.store.database.pool import Pool
from app.store.erasing.reports import Report
from app.store.erasing.running import Eraser
from app.store.writing.record import Record
from app.telemetry.logs import event_logger

LOOK_SECONDS = 2.0
RETRY_SECONDS = 5.0

_events = event_logger("recorder")


class Files(Protocol):
    """The files of a journal (app.recorder.files.JournalFiles)."""

    def written(self) -> list[str]:
        """Names of the segments that hold more than a header."""

    def quarantined_files(self) -> list[str]:
        """Names of the files in quarantine/."""

    def open_quarantined(self, name: str) -> SegmentReader:
        """A reader of one of them. Raises OSError, FrameError."""

    def remove_quarantined(self, names: list[str]) -> None:
        """Removes some of them."""


class Told(Protocol):
    """Where reports go (app.store.erasing.reports.Reports)."""

    async def wanted(self) -> list[uuid.UUID]:
        """Erasures that were not reported."""

    async def stopped(self, records: list[Record]) -> dict[bytes, list[uuid.UUID]]:
        """Which of these exchanges erasures stop."""

    async def give(self, reports: list[Report]) -> None:
        """Reports."""


@dataclass(slots=True)
class _Look:
    """Erasures that were first seen together, and the segments that have to go."""

    erasures: set[uuid.UUID]
    names: set[str]
    """Those that were on the disk then; once they are gone, those with further frames of what was in them."""
    is_last: bool = False


class DiskErasing:
    """Watches one journal; `segments` are those that its tail knows, by name."""

    def __init__(self, files: Files, segments: Mapping[str, Segment], told: Told) -> None:
        self._files = files
        self._segments = segments
        self._told = told
        self._looks: list[_Look] = []

    async def run_once(self) -> int:
        """Reports the erasures of which nothing is left here; gives how many those are."""
        wanted = set(await self._told.wanted())
        known = {each for look in self._looks for each in look.erasures}
        if fresh := wanted - known:
            self._looks.append(_Look(fresh, set(self._files.written())))
        clear = [look for look in self._looks if self._is_clear(look)]
        done = {each for look in clear for each in look.erasures}
        if done:
            taken, unreadable = await self._empty_quarantine()
            await self._told.give([Report(each, taken[each], unreadable) for each in sorted(done)])
        self._looks = [look for look in self._looks if look not in clear]
        return len(done)

    def _is_clear(self, look: _Look) -> bool:
        """Whether nothing that was on the disk then is there now, carried or not."""
        known = self._segments.values()
        if not look.is_last:
            look.names |= {each.name for each in known if any(one.name in look.names for one in each.sources)}
            if look.names.intersection(self._files.written()):
                return False
            # What began in one of them is settled by now, so that its last segments are marked.
            look.is_last = True
            look.names = {each.name for each in known if each.holds_erased}
        return not look.names.intersection(self._files.written())

    async def _empty_quarantine(self) -> tuple[Counter[uuid.UUID], int]:
        """Removes what is erased; gives how much of each erasure, and how many files cannot be read."""
        found: dict[bytes, str] = {}
        records: list[Record] = []
        unreadable = 0
        for name in self._files.quarantined_files():
            record = await asyncio.to_thread(self._read, name)
            if record is None:
                unreadable += 1
                continue
            found[record.id] = name
            records.append(record)
        stopped = await self._told.stopped(records)
        if stopped:
            self._files.remove_quarantined([found[each] for each in stopped])
            _events.info("quarantine_erased", exchanges=len(stopped))
        return Counter(each for erasures in stopped.values() for each in erasures), unreadable

    def _read(self, name: str) -> Record | None:
        """The exchange in a file of the quarantine, without its content; None where nobody can tell what is in it."""
        if not name.endswith(FRAMES_SUFFIX):
            return None
        try:
            reader = self._files.open_quarantined(name)
        except (OSError, JournalError):
            return None
        try:
            found, _ = transcript_in(name, reader)
            # Who it is of may stand in its body.
            return make_record(found) if found is not None else None
        except (OSError, JournalError):
            return None
        finally:
            reader.close()


async def keep_erased(url: str, disk: DiskErasing, look_seconds: float = LOOK_SECONDS) -> None:
    """Erases what is asked for and reports, for as long as it is let; never raises for the store or the disk."""
    pool = Pool(url, size=1, application="verbatim erasing")
    eraser = Eraser(pool)
    complaint = ""
    try:
        while True:
            pause = look_seconds
            try:
                reported = await disk.run_once()
                if (done := await eraser.run_once()) or reported:
                    _events.info("erased", erasures=done, reported=reported)
                complaint = ""
            except (StoreError, JournalError, OSError) as error:
                if (text := str(error)) != complaint:
                    complaint = text
                    _events.warning("erasing_waits", error=text)
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)
    finally:
        await pool.close()
