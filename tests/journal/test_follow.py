"""A reader that follows a writer while it changes segments every few kilobytes sees every frame exactly once."""

from __future__ import annotations

import subprocess
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.exchange import FrameType
from app.journal.frame import Frame
from app.journal.reader import JournalDirectory, SegmentReader
from tests.journal.segments import exchange_id
from tests.journal.writers import RULES, opened, until

REPOSITORY = Path(__file__).parent.parent.parent
EXCHANGES = 1_500
CHUNKS = 3


class Follower:
    """Reads one writer's segments in their order, as the recorder does, and unlinks each that was read to its end."""

    def __init__(self, folder: Path, window_bytes: int, take: Callable[[Frame], None]) -> None:
        self.directory = JournalDirectory(folder)
        self.window_bytes = window_bytes
        self.take = take
        self.segments = 0
        self.last_ones: set[str] = set()
        """Segments that were let go of when there was no newer one: the end of their writer."""
        self._reader: SegmentReader | None = None

    def follow(self, has_ended: Callable[[], bool]) -> None:
        """Reads until the writer is gone and nothing is left."""
        while True:
            is_last = has_ended()
            while self._read_oldest(is_last=is_last):
                continue
            if is_last:
                return

    def wait_for_a_change(self) -> None:
        """Waits until the writer has changed segments and the reader has followed."""
        before = self.segments
        until(lambda: self.segments > before)

    def _read_oldest(self, *, is_last: bool) -> bool:
        names = self.directory.segments()
        if not names:
            return False
        # Known before the read: only then an empty one means the end.
        is_complete = is_last or self._is_let_go(names)
        if self._reader is None:
            self._reader = SegmentReader(self.directory, names[0])
        assert self._reader.name == names[0]
        if is_complete:
            self._reader.finish()
        frames = self._reader.read(self.window_bytes)
        for frame in frames:
            self.take(frame)
        if frames or not (is_complete or self._reader.sealed):
            return bool(frames)
        assert (self._reader.damaged_bytes, self._reader.torn_bytes) == (0, 0)
        self._reader.close()
        self._reader = None
        self.directory.unlink(names[:1])
        self.segments += 1
        return True

    def _is_let_go(self, names: list[str]) -> bool:
        if not self.directory.is_orphan(names[0]):
            return False
        # A writer that lives has made a newer one before it let go of this one.
        if len(names) == 1 and self.directory.segments() == names:
            self.last_ones.add(names[0])
        return True


def payload(number: int, sequence: int) -> bytes:
    """What an exchange's frame holds."""
    return b"%d-%d " % (number, sequence) * (number % 50 + 1)


def test_every_frame_is_seen_once_and_in_order_while_segments_change_under_the_reader(folder: Path) -> None:
    found: list[tuple[bytes, int, bytes]] = []
    follower = Follower(
        folder, 3_000, lambda frame: found.append((frame.exchange_id, frame.sequence, frame.payload))
    )
    written = threading.Event()
    rules = replace(RULES, fsync="off", segment_bytes=4_000)
    with opened(folder, rules=rules) as writer:
        thread = threading.Thread(target=follower.follow, args=(written.is_set,))
        thread.start()
        for number in range(EXCHANGES):
            log = writer.exchange(exchange_id(number))
            for sequence in range(CHUNKS):
                log.stage(FrameType.RESPONSE_CHUNK, payload(number, sequence))
                if sequence != 1:
                    assert log.flush()
            if number % 100 == 99:
                follower.wait_for_a_change()
        writer.close()
        written.set()
        thread.join()
    wanted = [
        (exchange_id(number), sequence, payload(number, sequence))
        for number in range(EXCHANGES)
        for sequence in range(CHUNKS)
    ]
    assert len(found) == len(wanted)
    assert found == wanted
    assert follower.segments >= EXCHANGES // 100
    assert list(folder.iterdir()) == []


def test_every_frame_of_another_process_is_seen_once_and_no_living_writer_is_taken_for_dead(
    folder: Path,
) -> None:
    found: Counter[tuple[bytes, int, int]] = Counter()
    follower = Follower(
        folder,
        1 << 20,
        lambda frame: found.update([(frame.exchange_id, frame.sequence, zlib.crc32(frame.payload))]),
    )
    command = [sys.executable, "-m", "tests.journal.writer_process", str(folder), "0.8", "0"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        lines: list[bytes] = []
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        listener = threading.Thread(target=lambda: lines.extend(process.stdout or ()))
        listener.start()
        follower.follow(lambda: not listener.is_alive())
        listener.join()
        assert process.wait() == 0
    told = [[int(each) for each in line.split()] for line in lines if line[:1].isdigit()]
    assert len(told) > 1_000
    wanted = Counter((exchange_id(number), sequence, crc) for number, sequence, crc in told)
    assert found - wanted == wanted - found == Counter()
    assert follower.segments > 10
    assert len(follower.last_ones) <= 1
