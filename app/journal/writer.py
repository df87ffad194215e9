"""The worker's side of the journal: frames go to the open segment at once, everything slow is done by a thread.

Two threads share the open segment. The event loop's thread appends to it; the writer's thread syncs it, makes the
next one, and swaps. `_lock` guards the pointer to the open segment, its file and the counts of gaps; it is held for a
write or a swap of pointers, never for a sync, a rename or the making of a file. A segment that was swapped out
belongs to the writer's thread alone.

Nothing that the proxy calls raises for trouble with the disk: the exchange gets a gap, the policy decides about the
next ones, and what was not recorded is counted and noted as soon as there is space.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from app.clock import monotonic_ns
from app.errors import JournalError, JournalUnsupportedError
from app.exchange import FrameType, Note
from app.journal.disk import Disk, RealDisk
from app.journal.exchange_log import ExchangeLog, StagedFrame
from app.journal.frame import HEADER_BYTES, NO_EXCHANGE, encode_frame
from app.journal.leftovers import remove_leftovers
from app.journal.segment import SegmentFile
from app.journal.space import Space
from app.telemetry.logs import event_logger

if TYPE_CHECKING:
    from pathlib import Path

SLOW_WRITE_NS = 50_000_000
IDLE_TICK_SECONDS = 0.2
OWED_FRAMES = 10_000
GAP_LOG_NS = 10_000_000_000
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
        self._synced_position = 0
        self._waiting: list[tuple[int, Callable[[], None], asyncio.AbstractEventLoop]] = []
        self._owed: list[tuple[bytes, StagedFrame]] = []
        self._gaps: list[tuple[str, int, int]] = []
        self._gap_logged_ns = 0

    def __repr__(self) -> str:
        return f"<JournalWriter {self.boot}-{self.slot} at {self.position}, open {self._open!r}>"

    # Called by the proxy, on the event loop.

    def open(self) -> None:
        """Starts a new chain of segments. Raises JournalError where the folder cannot be used."""
        self.boot = secrets.token_hex(4)
        try:
            self._disk.make_folder(self._folder)
            self._warn_of_file_system()
            remove_leftovers(self._disk, self._folder)
            self._open = self._make_segment()
        except OSError as error:
            raise JournalUnsupportedError(f"{self._folder}: {error.strerror or error}") from error
        self._space.look()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Seals and syncs what is open; nothing may be written afterwards."""
        self._is_closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def admits(self) -> bool:
        """False while the disk is full, by the settings or really."""
        return not self._space.is_full

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
            last = self._gaps[-1] if self._gaps else None
            if last is not None and last[0] == reason and last[2] == number - 1:
                self._gaps[-1] = (reason, last[1], number)
            else:
                self._gaps.append((reason, number, number))
            if reason == "off":
                self.off += 1
                self._note_gaps()
                return
            self.dropped[reason] += 1
        self._log_gap(reason)

    def on_durable(self, position: int, callback: Callable[[], None]) -> None:
        """Calls back on the event loop once all up to the position is on the disk; at once but for fsync `always`."""
        if self.defers_sends:
            with self._lock:
                if position > self._synced_position:
                    self._waiting.append((position, callback, asyncio.get_running_loop()))
                    self._wake.set()
                    return
        callback()

    def write(self, exchange_id: bytes, staged: list[StagedFrame]) -> bool:
        """Writes frames of one exchange in one call before it returns; False where the disk refused them.

        Always on the calling thread, whatever the size: a read of a socket is at most 256 KiB, which takes about
        0.1 ms, and a hop to another thread costs milliseconds at its 99th percentile.
        """
        with self._lock:
            began_ns = monotonic_ns()
            is_written = self._append(exchange_id, staged)
            if monotonic_ns() - began_ns > SLOW_WRITE_NS:
                self.slow_writes += 1
        if not is_written:
            self._log_gap("journal_error")
        return is_written

    def owe(self, exchange_id: bytes, staged: StagedFrame) -> None:
        """Remembers a frame that must be written as soon as there is space."""
        with self._lock:
            if len(self._owed) < OWED_FRAMES:
                self._owed.append((exchange_id, staged))

    # Under the lock.

    def _append(self, exchange_id: bytes, staged: list[StagedFrame]) -> bool:
        segment = self._open
        if segment is None:
            return False
        start_crc = segment.start_crc
        buffers: list[bytes] = []
        size_bytes = HEADER_BYTES * len(staged)
        for kind, at_ns, sequence, flags, payload in staged:
            buffers += (encode_frame(start_crc, kind, exchange_id, at_ns, sequence, payload, flags), payload)
            size_bytes += len(payload)
        try:
            segment.append_buffers(buffers, size_bytes)
            self.position += size_bytes
        except (OSError, JournalError):
            self.write_errors += 1
            self._space.is_full = True
            self._wake.set()
            return False
        self.frames += len(staged)
        if segment.size_bytes > self._rules.segment_bytes:
            self._wake.set()
        return True

    def _note_gaps(self) -> None:
        while self._gaps:
            reason, first, last = self._gaps[0]
            payload = msgspec.msgpack.encode(Note("skipped", reason, first, last))
            if not self._append(NO_EXCHANGE, [(FrameType.NOTE, monotonic_ns(), 0, 0, payload)]):
                return
            self._gaps.pop(0)

    def _pay_owed(self) -> None:
        while self._owed:
            exchange_id, staged = self._owed[0]
            if not self._append(exchange_id, [staged]):
                return
            self._owed.pop(0)

    # The writer's thread.

    def _work(self) -> None:
        fsync = self._rules.fsync
        tick_seconds = min(fsync, IDLE_TICK_SECONDS) if isinstance(fsync, float | int) else IDLE_TICK_SECONDS
        while not self._is_closing:
            self._wake.wait(tick_seconds)
            self._wake.clear()
            self._tick()
        self._tick()
        self._end()

    def _tick(self) -> None:
        self._space.look_if_due()
        with self._lock:
            self._note_gaps()
            self._pay_owed()
        if self._open is None:
            self._replace(None)
        if self._rules.fsync != "off":
            self._sync()
        segment = self._open
        if segment is not None and not segment.is_empty:
            is_old = monotonic_ns() - segment.started_ns > self._rules.segment_age_ns
            if is_old or segment.size_bytes > self._rules.segment_bytes:
                self._replace(segment)

    def _sync(self) -> None:
        """Forces what was written so far to the disk and tells those who wait; never twice on a file that failed."""
        with self._lock:
            segment, position = self._open, self.position
        if segment is None or position == self._synced_position:
            self._release(position)
            return
        try:
            segment.sync()
        except OSError as error:
            self.suspect_segments += 1
            _events.error("journal_sync_failed", segment=segment.name, error=str(error))
            self._replace(segment, is_suspect=True)
        self._release(position)

    def _release(self, position: int) -> None:
        with self._lock:
            self._synced_position = max(self._synced_position, position)
            ready = [each for each in self._waiting if each[0] <= position]
            self._waiting = [each for each in self._waiting if each[0] > position]
            if self._waiting:
                self._wake.set()
        for _, callback, loop in ready:
            if not loop.is_closed():
                loop.call_soon_threadsafe(callback)

    def _replace(self, old: SegmentFile | None, *, is_suspect: bool = False) -> None:
        """Swaps in a new segment; the old one is sealed and closed. Without space for a new one the old goes on."""
        try:
            new = self._make_segment()
        except (OSError, JournalError) as error:
            self._space.is_full = True
            _events.error("segment_not_made", folder=str(self._folder), error=str(error))
            return
        with self._lock:
            self._open = new
        if old is not None:
            self._retire(old, is_suspect=is_suspect)

    def _retire(self, segment: SegmentFile, *, is_suspect: bool = False) -> None:
        try:
            segment.seal()
            # A file whose sync failed is not synced again: the kernel may have dropped what it could not write.
            if self._rules.fsync != "off" and not is_suspect:
                segment.sync()
        except (OSError, JournalError) as error:
            # A missing seal only means that the writer could not.
            _events.warning("segment_not_sealed", segment=segment.name, error=str(error))
        segment.close()

    def _make_segment(self) -> SegmentFile:
        segment = SegmentFile(self._folder, self.boot, self.slot, self._counter, self._hostname, self._disk)
        try:
            segment.publish()
        except OSError:
            segment.close()
            raise
        self._counter += 1
        return segment

    def _end(self) -> None:
        with self._lock:
            segment, self._open = self._open, None
        if segment is not None:
            self._retire(segment)
        self._release(self.position)
        self._space.drop_ballast()

    def _warn_of_file_system(self) -> None:
        kind = self._disk.kind(self._folder)
        if kind in _UNSUITABLE_KINDS:
            raise JournalUnsupportedError(f"{self._folder} is on {kind}")
        if kind in _EPHEMERAL_KINDS:
            _events.warning("journal_is_ephemeral", folder=str(self._folder), file_system=kind)

    def _log_gap(self, reason: str) -> None:
        now = monotonic_ns()
        if now - self._gap_logged_ns > GAP_LOG_NS:
            self._gap_logged_ns = now
            _events.error(
                "not_recorded", reason=reason, exchanges=self.dropped.total(), bytes=self.dropped_bytes
            )
