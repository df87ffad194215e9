"""Accounts that balance: whatever the disk does, each accepted exchange has begun or stands in a note.

A state machine writes, rotates, fills and empties the disk, fails syncs, kills and starts writers, and reads and
deletes what they let go of. The writer's thread takes its steps only when a rule says so, hence each run is the same.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.exchange import FrameType
from app.journal.exchange_log import ExchangeLog
from app.journal.frame import NO_EXCHANGE, Frame
from app.journal.reader import JournalDirectory, SegmentReader
from app.journal.writer import JournalWriter
from tests.fakes.disk import SmallDisk
from tests.journal.segments import drain, exchange_id
from tests.journal.writers import RULES, skipped

LARGE_BYTES = 1 << 30
BUDGET_BYTES = 40_000
STEPS_TO_SETTLE = 6


class SteppedWriter(JournalWriter):
    """A writer whose thread does nothing by itself."""

    def _work(self) -> None:
        return

    def step(self) -> None:
        """What the thread does at a tick, and a look at the disk whatever the time."""
        self._space.look()
        self._tick()

    def look(self) -> None:
        """Only a look at the disk."""
        self._space.look()

    @property
    def owes(self) -> bool:
        """Something is still to be written."""
        return bool(self._debts)

    @property
    def owed_numbers(self) -> int:
        """Accept numbers that stand in nothing that is written yet."""
        noted = sum(last - first + 1 for _, first, last in self._debts._gaps)
        return noted + sum(frame[1] == FrameType.BEGIN for frame in self._debts._frames)

    def close(self) -> None:
        super().close()
        self._tick()
        self._end()

    def die(self) -> None:
        """As at kill -9: the kernel closes the file, nobody seals it."""
        super().close()
        if self._open is not None and self._open._fd is not None:
            self._disk.close(self._open._fd)


class UnreliableDisk(SmallDisk):
    """Small, and its next syncs may fail."""

    failing_syncs = 0

    def sync(self, fd: int) -> None:
        if self.failing_syncs:
            self.failing_syncs -= 1
            raise OSError(5, "Input/output error")
        super().sync(fd)


@dataclass
class Call:
    """An exchange as the model knows it: what was staged, in order, and whether all of it was acknowledged."""

    owner: bytes
    log: ExchangeLog
    staged: list[tuple[int, bytes]] = field(default_factory=list)
    is_whole: bool = True


class Accounts(RuleBasedStateMachine):
    """One worker, its disk, and a recorder that reads what was let go of and unlinks it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-"))
        self.directory = JournalDirectory(self.folder)
        self.disk = UnreliableDisk(self.folder, LARGE_BYTES)
        self.calls: list[Call] = []
        self.open_calls: list[Call] = []
        self.recorded: list[Frame] = []
        """Read from segments that are unlinked."""
        self.accepted = self.first_of_writer = self.lost = 0
        self.was_killed_owing = False

    @initialize()
    def start(self) -> None:
        rules = replace(RULES, max_bytes=BUDGET_BYTES, segment_bytes=1_500)
        self.writer = SteppedWriter(self.folder, 0, "host", rules, self.disk)
        self.writer.open()
        self.first_of_writer = self.accepted
        self.open_calls = []

    def number(self, of_writer: int) -> int:
        """An accept number that goes on over all writers."""
        return self.first_of_writer + of_writer

    @rule(is_off=st.booleans())
    def accept(self, is_off: bool) -> None:
        self.accepted += 1
        if is_off or not self.writer.admits():
            self.writer.skip("off" if is_off else "journal_full")
            return
        call = Call(exchange_id(self.number(self.writer.next_accept_number())), self.writer.exchange(b""))
        call.log = self.writer.exchange(call.owner)
        self.calls.append(call)
        self.open_calls.append(call)
        self.put(call, FrameType.BEGIN, b"begin")

    @precondition(lambda self: self.open_calls)
    @rule(data=st.data(), payload=st.binary(max_size=30), times=st.integers(1, 60))
    def chunk(self, data: st.DataObject, payload: bytes, times: int) -> None:
        self.put(data.draw(st.sampled_from(self.open_calls)), FrameType.RESPONSE_CHUNK, payload * times)

    @precondition(lambda self: self.open_calls)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.open_calls))
        self.put(call, FrameType.END, b"end")
        self.open_calls.remove(call)

    def put(self, call: Call, kind: int, payload: bytes) -> None:
        call.log.stage(kind, payload)
        call.staged.append((kind, payload))
        is_whole = call.log.flush()
        assert is_whole != call.log.gap
        assert is_whole <= call.is_whole, "a gap never closes"
        call.is_whole = is_whole

    @rule()
    def step(self) -> None:
        self.writer.step()

    @rule()
    def look(self) -> None:
        """Room is found, and exchanges are admitted, before what is owed is paid."""
        self.writer.look()

    @rule(room_bytes=st.integers(0, 400))
    def fill(self, room_bytes: int) -> None:
        self.disk.capacity_bytes = sum(self.disk.sizes(self.folder).values()) + room_bytes

    @rule()
    def empty(self) -> None:
        self.disk.capacity_bytes = LARGE_BYTES

    @rule()
    def fail_a_sync(self) -> None:
        self.disk.failing_syncs = 1

    @rule()
    def record_and_delete(self) -> None:
        gone = [name for name in self.directory.segments() if self.directory.is_orphan(name)]
        for name in gone:
            self.recorded += self.read(name)
        self.directory.unlink(gone)

    @rule()
    def stop_and_start(self) -> None:
        self.empty()
        self.settle()
        self.writer.close()
        self.disk.failing_syncs = 0
        self.start()

    @rule()
    def kill_and_start(self) -> None:
        self.was_killed_owing |= self.writer.owes
        self.lost += self.writer.owed_numbers
        self.writer.die()
        self.disk.failing_syncs = 0
        self.start()

    def settle(self) -> None:
        """With room on the disk all debts are paid, and recording goes on, once the recorder has deleted enough."""
        for _ in range(STEPS_TO_SETTLE):
            self.record_and_delete()
            self.writer.step()
        assert not self.writer.owes
        assert self.writer.admits()

    def read(self, name: str) -> list[Frame]:
        reader = SegmentReader(self.directory, name)
        frames = drain(reader)
        reader.close()
        assert (reader.damaged_bytes, reader.torn_bytes) == (0, 0), name
        return frames

    @invariant()
    def what_was_acknowledged_is_there_and_nothing_else(self) -> None:
        frames = list(self.recorded)
        for name in self.directory.segments():
            frames += self.read(name)
        found: dict[bytes, list[Frame]] = {}
        for frame in frames:
            found.setdefault(frame.exchange_id, []).append(frame)
        for call in self.calls:
            kept = [(each.sequence, each.kind, each.payload) for each in found.pop(call.owner, [])]
            staged = [(at, kind, payload) for at, (kind, payload) in enumerate(call.staged)]
            if call.is_whole:
                assert kept == staged
            else:
                assert kept == sorted(set(kept) & set(staged))
        assert found.keys() <= {NO_EXCHANGE}

    def teardown(self) -> None:
        if not hasattr(self, "writer"):
            return
        for call in list(self.open_calls):
            self.put(call, FrameType.END, b"end")
        self.empty()
        self.settle()
        self.writer.close()
        self.record_and_delete()
        assert list(self.folder.iterdir()) == []
        self.balance()
        shutil.rmtree(self.folder)

    def balance(self) -> None:
        """Accepted is begun and skipped; only what a killed writer still owed is missing."""
        begun = [each.exchange_id for each in self.recorded if each.kind == FrameType.BEGIN]
        noted = sum(last - first + 1 for _, first, last in skipped(self.recorded))
        assert len(set(begun)) == len(begun)
        assert self.accepted == len(begun) + noted + self.lost
        ended = {each.exchange_id for each in self.recorded if each.kind == FrameType.END}
        if not self.was_killed_owing:
            assert set(begun) == {call.owner for call in self.calls}
            assert {call.owner for call in self.calls if call.staged[-1][0] == FrameType.END} == ended


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
