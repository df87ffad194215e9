"""Follows the journal: finds its segments, reads each writer's in their order, and tells which writers are dead."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from app.clock import monotonic_ns, wall_ns
from app.errors import FrameError
from app.exchange import CARRY_SLOT
from app.journal.reader import SegmentReader
from app.recorder.assemble import Assembler
from app.recorder.files import FoundSegment, JournalFiles
from app.recorder.segment import Chain, Segment
from app.recorder.status import RecorderStatus
from app.recorder.transcript import Transcript
from app.telemetry.logs import event_logger

READ_BYTES = 256 << 10
SCAN_NS = 50_000_000
SCAN_BEHIND_NS = 1_000_000_000
DEATH_NS = 1_000_000_000

_events = event_logger("recorder")


@dataclass(slots=True)
class Writer:
    """One chain of segments: those not read to their end, oldest first."""

    unread: deque[Segment] = field(default_factory=deque)
    newest: Segment | None = None
    checked_ns: int = 0
    is_dead: bool = False
    """Nothing will be written any more."""


class JournalTail:
    """Reads what is new; what ended waits in `ended`, oldest first."""

    def __init__(self, files: JournalFiles, assembler: Assembler, status: RecorderStatus) -> None:
        self._files = files
        self._assembler = assembler
        self._status = status
        self._writers: dict[Chain, Writer] = {}
        self._readers: dict[str, SegmentReader] = {}
        """By name, of segments that are not read to their end."""
        self._scanned_ns = 0
        self._closed_ns = 0
        self.segments: dict[str, Segment] = {}
        """By name, all that were seen and not let go."""
        self.ended: deque[Transcript] = deque()

    def __repr__(self) -> str:
        return f"<JournalTail writers={len(self._writers)} segments={len(self.segments)} ended={len(self.ended)}>"

    def read(self) -> int:
        """Reads a little of each writer's oldest segment; gives the bytes taken, 0 where nothing was new."""
        now = monotonic_ns()
        if now - self._scanned_ns >= (SCAN_BEHIND_NS if self.is_behind else SCAN_NS):
            self.scan()
        carries = [chain for chain, writer in self._writers.items() if _is_carry(chain) and writer.unread]
        taken = 0
        # What was carried comes before what its writers wrote later.
        for chain in carries or list(self._writers):
            taken += self._read_writer(self._writers[chain])
        if not carries and now - self._closed_ns >= DEATH_NS:
            self._closed_ns = now
            self._close_dead()
        return taken

    @property
    def is_behind(self) -> bool:
        """Some writer has gone on to a newer segment than the one that is read."""
        return any(len(writer.unread) > 1 for writer in self._writers.values())

    def scan(self) -> None:
        """Looks for new segments."""
        self._scanned_ns = monotonic_ns()
        for found in self._files.find():
            if found.name not in self.segments:
                self._add(found)

    def forget(self, segment: Segment) -> None:
        """Drops a segment whose file is gone."""
        self.segments.pop(segment.name, None)
        segment.is_gone = True
        source, segment.source = segment.source, None
        if source is not None:
            source.close()

    def adopt(self, segment: Segment) -> None:
        """Takes a segment that the recorder itself has written; there is nothing to read in it."""
        self.segments[segment.name] = segment

    def lag_seconds(self) -> float:
        """Age of the oldest segment that is waiting to be read, or of the oldest exchange waiting to be batched."""
        waiting = [writer.unread[0].wall_ns for writer in self._writers.values() if len(writer.unread) > 1]
        oldest = min((each for each in waiting if each), default=0)
        lag = (wall_ns() - oldest) / 1e9 if oldest else 0.0
        if self.ended:
            lag = max(lag, (monotonic_ns() - self.ended[0].ended_ns) / 1e9)
        return max(0.0, lag)

    @property
    def is_empty(self) -> bool:
        """Nothing ended is waiting, and no writer is behind."""
        return not self.ended and not self.is_behind

    def _add(self, found: FoundSegment) -> None:
        segment = Segment(found.name, found.chain, found.counter, None, is_carry=found.is_carry)
        self.segments[found.name] = segment
        writer = self._writers.setdefault(found.chain, Writer(is_dead=found.is_carry))
        writer.unread.append(segment)
        writer.newest = segment

    def _read_writer(self, writer: Writer) -> int:
        if not writer.unread:
            self._look_for_death(writer)
            return 0
        segment = writer.unread[0]
        # Known before the read: only then an empty one means the end. That a newer segment is there is not enough:
        # a writer makes it first, and goes on with the old one until it swaps.
        is_complete = writer.is_dead or (len(writer.unread) > 1 and self._files.is_orphan(segment.name))
        reader = self._open(segment)
        if reader is None:
            return 0
        taken = self._read_segment(segment, reader)
        if taken:
            return taken
        if is_complete and not segment.is_ending:
            reader.finish()
            segment.is_ending = True
            taken = self._read_segment(segment, reader)
        if not taken and (reader.sealed or is_complete):
            segment.is_finished = True
            del self._readers[segment.name]
            writer.unread.popleft()
            return 1
        self._look_for_death(writer)
        return taken

    def _read_segment(self, segment: Segment, reader: SegmentReader) -> int:
        frames = reader.read(READ_BYTES)
        if reader.damaged_bytes > segment.damaged_bytes:
            self._saw_damage(segment, reader.damaged_bytes - segment.damaged_bytes)
        segment.torn_bytes = reader.torn_bytes
        taken = 0
        for frame in frames:
            taken += frame.size_bytes
            transcript = self._assembler.take(segment, frame)
            if transcript is not None:
                self.ended.append(transcript)
        segment.read_bytes += taken
        return taken

    def _open(self, segment: Segment) -> SegmentReader | None:
        """A segment's reader; what is no readable segment is set aside and counted as damaged."""
        reader = self._readers.get(segment.name)
        if reader is not None:
            return reader
        try:
            reader = self._files.open(segment.name)
        except FrameError as error:
            _events.error("segment_set_aside", segment=segment.name, error=str(error))
            self._give_up(segment, self._files.set_aside(segment.name))
        except FileNotFoundError:
            _events.error("segment_vanished", segment=segment.name)
            self._give_up(segment, 0)
        except OSError as error:
            if not segment.is_ending:
                _events.error("segment_unreadable", segment=segment.name, error=str(error))
            segment.is_ending = True
        if reader is None:
            return None
        segment.is_ending = False
        self._readers[segment.name] = reader
        segment.source = reader
        segment.wall_ns = reader.header.wall_ns
        return reader

    def _give_up(self, segment: Segment, damaged_bytes: int) -> None:
        """Nothing of it can be read; its account still says so."""
        self._saw_damage(segment, damaged_bytes)
        segment.is_finished = True
        self._writers[segment.chain].unread.popleft()

    def _saw_damage(self, segment: Segment, new_bytes: int) -> None:
        self._assembler.saw_damage(segment.chain)
        segment.damaged_bytes += new_bytes
        self._status.damaged_bytes += new_bytes
        _events.error("segment_damaged", segment=segment.name, bytes=new_bytes)

    def _look_for_death(self, writer: Writer) -> None:
        """A writer is dead if its newest segment is nobody's, and no newer one came before it was let go of."""
        now = monotonic_ns()
        if writer.is_dead or writer.newest is None or now - writer.checked_ns < DEATH_NS:
            return
        writer.checked_ns = now
        newest = writer.newest
        if self._files.is_orphan(newest.name):
            self.scan()
            writer.is_dead = writer.newest is newest

    def _close_dead(self) -> None:
        """Ends what dead writers left open, once all that they wrote was read; forgets them when nothing is left."""
        silent = {chain for chain, writer in self._writers.items() if writer.is_dead and not writer.unread}
        held = {segment.chain for segment in self.segments.values()}
        orphaned = {each.chain for each in self._assembler.open_exchanges()} - self._writers.keys()
        crashed = self._assembler.close(silent | orphaned)
        if crashed:
            self._status.crashed += len(crashed)
            _events.warning("exchanges_crashed", exchanges=len(crashed))
            self.ended.extend(crashed)
        for chain in silent - held:
            del self._writers[chain]


def _is_carry(chain: Chain) -> bool:
    return chain[1] == CARRY_SLOT
