"""The worker's side of the journal: frames go to the open segment at once, everything slow is done by a thread.

Two threads share the open segment. The event loop's thread appends to it; the writer's thread syncs it, makes the
next one, and swaps, whether or not anything is being written. `_lock` guards the pointer to the open segment, its file
and the debts; it is held for a write or a swap of pointers, never for a sync, a rename or the making of a file. A
segment that was swapped out belongs to the writer's thread alone, which seals, syncs and closes it.

Nothing that the proxy calls raises for trouble with the disk: the exchange gets a gap, the policy decides about the
next ones, and what was not recorded is counted and noted as soon as there is space.
"""

from __future__ import annotations

import errno
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.clock import monotonic_ns
from app.errors import JournalError, JournalUnsupportedError
from app.journal.debts import Debts, note_skipped
from app.journal.disk import Disk, RealDisk
from app.journal.exchange_log import ExchangeLog, StagedFrame, without_chunks
from app.journal.frame import HEADER_BYTES, encode_frame
from app.journal.leftovers import remove_leftovers
from app.journal.segment import SegmentFile
from app.journal.space import Space
from app.journal.waiters import Waiters
from app.telemetry.logs import event_logger

if TYPE_CHECKING:
    from pathlib import Path

SLOW_WRITE_NS = 50_000_000
IDLE_TICK_SECONDS = 0.2
LOG_PAUSE_NS = 10_000_000_000
PAID_AT_ONCE = 100
"""Debts paid in one go: 0.5 ms, for which the event loop may have to wait."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_UNSUPPORTED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK)
_UNSUITABLE_KINDS = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"})
_EPHEMERAL_KINDS = frozenset({"tmpfs", "overlay", "ramfs"})

_events = event_logger("journal")


@dataclass(frozen=True, slots=True)
class JournalRules:
    """The settings of a journal."""

    fsync: str | float = 0.2
    """`off`, `always`, or an interval in seconds."""
    max_bytes: int = 10 << 30
    min_free_bytes: int = 1 << 30
    segment_bytes: int = 64 << 20
    segment_age_ns: int = 5_000_000_000


class JournalWriter:
    """Writes one worker's frames; opened after the fork."""

    def __init__(
        self,
        folder: Path,
        slot: int,
        hostname: str,
        rules: JournalRules | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.slot = slot
        self.boot = ""
        self.position = 0
        """Bytes written since the writer was opened."""
        self.staged: list[StagedFrame] = []
        """Frames that the next commit writes; of the event loop's thread alone."""
        self._rules = rules or JournalRules()
        self.defers_sends = self._rules.fsync == "always"
        self.frames = self.slow_writes = self.suspect_segments = self.write_errors = self.dropped_bytes = 0
        self.off = 0
        self.dropped: Counter[str] = Counter()
        """Exchanges that were not recorded though they should have been, by reason."""
        self._disk = disk or RealDisk()
        self._folder = folder
        self._hostname = hostname
        self._space = Space(self._disk, folder, self._rules.max_bytes, self._rules.min_free_bytes)
        self._accept_number = 0
        self._counter = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._open: SegmentFile | None = None
        self._waiters = Waiters()
        self._sync_due_ns = 0
        self._debts = Debts()
        self._logged_ns: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<JournalWriter {self.boot}-{self.slot} at {self.position}, open {self._open!r}>"

    # Called by the proxy, on the event loop.

    def open(self) -> None:
        """Starts a new chain of segments. Raises JournalError where the folder cannot be used.

        A full disk is no reason not to start: the policy decides, and a segment is made when there is room.
        """
        self.boot = secrets.token_hex(4)
        try:
            self._disk.make_folder(self._folder)
            self._check_file_system()
            remove_leftovers(self._disk, self._folder)
            self._open = self._make_segment()
        except OSError as error:
            if error.errno not in _NO_SPACE:
                refusal = JournalUnsupportedError if error.errno in _UNSUPPORTED else JournalError
                raise refusal(f"{self._folder}: {error.strerror or error}") from error
            self._space.write_failed()
        self._space.look()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes what is staged, seals and syncs; nothing may be staged afterwards."""
        self.commit()
        self._is_closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def admits(self) -> bool:
        """False while the disk is full, by the settings or really."""
        return not self._space.is_full and self._open is not None

    @property
    def size_bytes(self) -> int:
        """What the whole journal took when it was last looked at."""
        return self._space.used_bytes

    def next_accept_number(self) -> int:
        """The number of the next accepted exchange, from 0, without gaps."""
        number = self._accept_number
        self._accept_number += 1
        return number

    def exchange(self, exchange_id: bytes) -> ExchangeLog:
        """A log for a new exchange."""
        return ExchangeLog(self, exchange_id)

    def skip(self, reason: str) -> None:
        """Counts an exchange that is not recorded: `off`, `journal_full` or `journal_error`."""
        number = self.next_accept_number()
        with self._lock:
            if reason == "off":
                self.off += 1
                if not self._debts and self._append([note_skipped(reason, number, number)]):
                    return
            else:
                self.dropped[reason] += 1
            self._debts.add_gap(reason, number)
        if reason != "off":
            self._log_loss(reason)

    def on_durable(self, position: int, callback: Callable[[], None]) -> None:
        """Calls back on the event loop once all up to the position is on the disk; at once but for fsync `always`."""
        if self.defers_sends and self._waiters.add(position, callback):
            self._wake.set()
        else:
            callback()

    def commit(self) -> None:
        """Writes all that is staged in one call before it returns; what the disk refuses is dropped or owed.

        Always on the calling thread, whatever the size: a hop to another thread costs milliseconds at its 99th
        percentile, a read of a socket, at most 256 KiB, takes about 0.1 ms.
        """
        staged, self.staged = self.staged, []
        if staged and not self.admits():
            staged = without_chunks(staged)
        if staged and (written := self._write(staged)) < len(staged):
            self._commit_failed(staged[written:])

    def _commit_failed(self, unwritten: list[StagedFrame]) -> None:
        """What is small is tried once more: the ballast makes room for it; what fails again is owed."""
        self._log_loss("journal_error")
        small = without_chunks(unwritten)
        written = self._write(small) if small else 0
        for place, frame in enumerate(small):
            if (log := frame[6]) is not None:
                log.gap = True
                log.is_owing = log.is_owing or place >= written
            if place >= written:
                self.owe(frame)

    def _write(self, staged: list[StagedFrame]) -> int:
        with self._lock:
            began_ns = monotonic_ns()
            written = self._append(staged)
            if monotonic_ns() - began_ns > SLOW_WRITE_NS:
                self.slow_writes += 1
        return written

    def owe(self, frame: StagedFrame) -> None:
        """Remembers a frame that must be written as soon as there is space."""
        with self._lock:
            self._debts.add_frame(frame)

    # Under the lock.

    def _append(self, staged: list[StagedFrame]) -> int:
        segment = self._open
        if segment is None:
            return 0
        start_crc = segment.start_crc
        buffers: list[bytes] = []
        size_bytes = HEADER_BYTES * len(staged)
        for exchange_id, kind, at_ns, sequence, flags, payload, _ in staged:
            buffers += (encode_frame(start_crc, kind, exchange_id, at_ns, sequence, payload, flags), payload)
            size_bytes += len(payload)
        size_before = segment.size_bytes
        try:
            segment.append_buffers(buffers, size_bytes)
        except (OSError, JournalError):
            return self._append_failed(segment.size_bytes - size_before, staged)
        self.position += size_bytes
        self.frames += len(staged)
        if segment.size_bytes > self._rules.segment_bytes:
            self._wake.set()
        return len(staged)

    def _append_failed(self, kept_bytes: int, staged: list[StagedFrame]) -> int:
        """Takes note of it; gives how many frames are in the file all the same."""
        self.position += kept_bytes
        written = 0
        for frame in staged:
            kept_bytes -= HEADER_BYTES + len(frame[5])
            if kept_bytes < 0:
                break
            written += 1
        self.frames += written
        self.write_errors += 1
        self._space.write_failed()
        self._wake.set()
        return written

    def _pay_debts(self, most: int) -> bool:
        """Writes some of what is owed; True where there is more that can be paid now."""
        for _ in range(min(most, len(self._debts))):
            if not self._append([self._debts.first()]):
                return False
            self._debts.paid()
        return len(self._debts) > 0

    # The writer's thread.

    def _work(self) -> None:
        fsync = self._rules.fsync
        tick_seconds = min(fsync, IDLE_TICK_SECONDS) if isinstance(fsync, float | int) else IDLE_TICK_SECONDS
        while not self._is_closing:
            self._wake.wait(tick_seconds)
            self._wake.clear()
            self._survive(self._tick)
        self._survive(self._tick)
        self._survive(self._end)

    def _survive(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the root of a thread without which nothing is synced any more
            if self._may_log("journal_thread_failed"):
                _events.exception("journal_thread_failed", error)

    def _tick(self) -> None:
        has_looked = self._space.look_if_due()
        while self._pay_some():
            continue
        segment = self._open
        names = self._space.names
        if segment is not None and has_looked and names is not None and segment.name not in names:
            _events.error("segment_vanished", segment=segment.name)
            self._replace(segment)
        self._sync_if_due()
        segment = self._open
        if segment is None or self._is_done(segment):
            self._replace(segment)

    def _pay_some(self) -> bool:
        with self._lock:
            return self._pay_debts(PAID_AT_ONCE)

    def _is_done(self, segment: SegmentFile) -> bool:
        if segment.is_suspect or segment.is_broken or (segment.has_failed and not segment.is_empty):
            return True
        is_old = monotonic_ns() - segment.started_ns > self._rules.segment_age_ns
        return not segment.is_empty and (is_old or segment.size_bytes > self._rules.segment_bytes)

    def _sync_if_due(self) -> None:
        fsync = self._rules.fsync
        now = monotonic_ns()
        if fsync == "off" or now < self._sync_due_ns:
            return
        if isinstance(fsync, float | int):
            self._sync_due_ns = now + int(fsync * 0.9e9)  # a tick that comes a little early is due, too
        self._sync()

    def _sync(self) -> None:
        """Forces what was written so far to the disk and tells those who wait; never twice on a file that failed."""
        with self._lock:
            segment, position = self._open, self.position
        if segment is not None and position > self._waiters.durable_position and not segment.is_suspect:
            self._sync_segment(segment)
        if self._waiters.release(position):
            self._wake.set()

    def _sync_segment(self, segment: SegmentFile) -> None:
        try:
            segment.sync()
        except OSError as error:
            self.suspect_segments += 1
            _events.error("journal_sync_failed", segment=segment.name, error=str(error))

    def _replace(self, old: SegmentFile | None) -> None:
        """Swaps in a new segment; the old one is sealed and closed. Without space for a new one the old goes on."""
        try:
            new = self._make_segment()
        except (OSError, JournalError) as error:
            self._space.write_failed()
            if self._may_log("segment_not_made"):
                _events.error("segment_not_made", folder=str(self._folder), error=str(error))
            return
        with self._lock:
            self._open = new
        if old is not None:
            self._retire(old)

    def _retire(self, segment: SegmentFile) -> None:
        try:
            segment.seal()
        except (OSError, JournalError) as error:
            # A missing seal only means that the writer could not.
            _events.warning("segment_not_sealed", segment=segment.name, error=str(error))
        # A file whose sync failed is not synced again: the kernel may have dropped what it could not write.
        if self._rules.fsync != "off" and not segment.is_suspect:
            self._sync_segment(segment)
        segment.close()

    def _make_segment(self) -> SegmentFile:
        counter = self._counter
        # Never twice the same, even if this one fails: readers know a segment by its name.
        self._counter += 1
        self._disk.make_folder(self._folder)
        segment = SegmentFile(self._folder, self.boot, self.slot, counter, self._hostname, self._disk)
        try:
            segment.publish()
        except OSError as error:
            if not segment.is_published:
                segment.close()
                raise
            # Readers may know it, and would take this writer for dead if it let go of it: it is used.
            self.suspect_segments += 1
            _events.error("folder_sync_failed", segment=segment.name, error=str(error))
        return segment

    def _end(self) -> None:
        with self._lock:
            segment, self._open = self._open, None
        if segment is not None:
            self._retire(segment)
        self._waiters.release(self.position)
        self._space.drop_ballast()
        lost = len(self._debts) + self._debts.forgotten_frames
        if lost:
            _events.error("journal_closed_owing", frames=lost)

    def _check_file_system(self) -> None:
        kind = self._disk.kind(self._folder)
        if kind in _UNSUITABLE_KINDS:
            raise JournalUnsupportedError(f"{self._folder} is on {kind}")
        if kind in _EPHEMERAL_KINDS:
            _events.warning("journal_is_ephemeral", folder=str(self._folder), file_system=kind)

    def _log_loss(self, reason: str) -> None:
        if self._may_log("not_recorded"):
            _events.error(
                "not_recorded", reason=reason, exchanges=self.dropped.total(), bytes=self.dropped_bytes
            )

    def _may_log(self, event: str) -> bool:
        """At most once in ten seconds for what may happen at every write."""
        now = monotonic_ns()
        if now < self._logged_ns.get(event, 0):
            return False
        self._logged_ns[event] = now + LOG_PAUSE_NS
        return True
