"""Any order of writing, rotating, crashing, reopening, reading and deleting keeps what a small model keeps."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.exchange import FrameType
from app.journal.exchange_log import ExchangeLog
from app.journal.reader import JournalDirectory, SegmentReader
from app.journal.writer import JournalWriter
from tests.fakes.disk import Fault, FaultyDisk
from tests.journal.segments import Told, drain, exchange_id, told
from tests.journal.writers import RULES, skipped, until

RUNS = 10_000 if "SOAK" in os.environ else 100
pytestmark = pytest.mark.timeout(0.6 * RUNS)
PAYLOADS = st.binary(max_size=200) | st.sampled_from([b"\xf5LJ1" * 5, bytes(60)])
RULES_OF_MODEL = replace(RULES, fsync=0.01)


class Journal(RuleBasedStateMachine):
    """One worker and one recorder on a folder.

    The model: what was acknowledged must be found, once and in order; nothing may be found that was not given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-"))
        self.directory = JournalDirectory(self.folder)
        self.given: set[Told] = set()
        self.acknowledged: set[Told] = set()
        self.found: list[Told] = []
        """In segments that are gone."""
        self.exchanges = 0
        self.off = 0
        self.notes = 0
        self.reader: SegmentReader | None = None
        self.logs: list[tuple[ExchangeLog, bytes]] = []
        self.sequences: dict[bytes, int] = {}
        self.start()

    def start(self) -> None:
        self.disk = FaultyDisk(Fault.SHORT_WRITE, only=frozenset({"append"}))
        self.writer = JournalWriter(self.folder, 0, "host", RULES_OF_MODEL, self.disk)
        self.writer.open()
        self.logs = []

    @rule()
    def begin(self) -> None:
        self.exchanges += 1
        owner = exchange_id(self.exchanges)
        self.sequences[owner] = 0
        self.logs.append((self.writer.exchange(owner), owner))

    @precondition(lambda self: self.logs)
    @rule(
        data=st.data(), parts=st.lists(PAYLOADS, min_size=1, max_size=4), fails=st.sampled_from([0, 0, 0, 1])
    )
    def write(self, data: st.DataObject, parts: list[bytes], fails: int) -> None:
        """Sometimes only a part of it reaches the disk."""
        log, owner = self.logs[data.draw(st.integers(0, len(self.logs) - 1))]
        frames: list[Told] = []
        for part in parts:
            frames.append((FrameType.RESPONSE_CHUNK, owner, self.sequences[owner], part))
            self.sequences[owner] += 1
            log.stage(FrameType.RESPONSE_CHUNK, part)
        self.given.update(frames)
        self.disk.fails_at = range(len(self.disk.calls), len(self.disk.calls) + fails)
        if log.flush():
            self.acknowledged.update(frames)
        self.disk.fails_at = range(0)

    @rule()
    def skip(self) -> None:
        self.writer.skip("off")
        self.off += 1

    @rule()
    def wait_for_room(self) -> None:
        until(self.writer.admits)

    @rule()
    def rotate(self) -> None:
        segment = self.writer._open
        assert segment is not None
        if segment.is_empty or not self.writer.admits():
            return
        self.writer._rules = replace(RULES_OF_MODEL, segment_age_ns=0)
        self.writer._wake.set()
        until(lambda: self.writer._open is not segment)
        self.writer._rules = RULES_OF_MODEL

    @rule()
    def stop_and_start(self) -> None:
        self.writer.close()
        self.start()

    @rule(cut=st.integers(1, 40))
    def crash_within_a_frame(self, cut: int) -> None:
        """Only what was never acknowledged is torn."""
        until(lambda: not self.writer._debts)
        segment = self.writer._open
        assert segment is not None
        name, size = segment.name, segment.size_bytes
        self.writer.close()
        with (self.folder / name).open("r+b") as file:
            whole = file.read()[: max(size, segment.size_bytes - 44)]
            file.seek(0)
            file.truncate()
            file.write(whole + (b"\xf5LJ1" + bytes([7] * 36))[:cut])
        self.start()

    @rule(window=st.sampled_from([50, 1 << 20]))
    def read_live(self, window: int) -> None:
        """No precondition: whether there is something to read depends on threads, and what is drawn may not."""
        if self.reader is None:
            self.reader = SegmentReader(self.directory, self.directory.segments()[-1])
        frames = {told(each) for each in self.reader.read(window) if each.kind == FrameType.RESPONSE_CHUNK}
        assert frames <= self.given
        assert self.reader.damaged_bytes == 0
        if not frames:
            self.reader.close()
            self.reader = None

    @rule()
    def delete_what_is_done(self) -> None:
        gone = [name for name in self.directory.segments() if self.directory.is_orphan(name)]
        for name in gone:
            self.read_to_the_end(name)
        self.directory.unlink(gone)

    def read_to_the_end(self, name: str) -> None:
        reader = SegmentReader(self.directory, name)
        frames = drain(reader)
        self.notes += len(skipped(frames))
        self.found += [told(each) for each in frames if each.kind == FrameType.RESPONSE_CHUNK]
        assert reader.damaged_bytes == 0
        reader.close()

    @invariant()
    def the_writer_is_alive(self) -> None:
        """As a recorder tells: where all are orphans, a look after that finds a newer one."""
        names = self.directory.segments()
        if all(map(self.directory.is_orphan, names)):
            assert set(self.directory.segments()) - set(names)

    def teardown(self) -> None:
        self.writer.close()
        if self.reader is not None:
            self.reader.close()
        self.delete_what_is_done()
        assert self.directory.segments() == []
        shutil.rmtree(self.folder)
        assert len(self.found) == len(set(self.found))
        assert self.acknowledged <= set(self.found) <= self.given
        assert self.notes == self.off
        for owner in self.sequences:
            order = [sequence for _, each, sequence, _ in self.found if each == owner]
            assert order == sorted(order)


TestJournal = Journal.TestCase
TestJournal.settings = settings(max_examples=RUNS, stateful_step_count=25, deadline=None)
