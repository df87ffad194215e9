"""The disk fails at every call: the process lives, no torn frame stands in the middle, what is lost is counted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path

import msgspec
import pytest

from app.errors import JournalError
from app.exchange import End, FrameType
from app.journal.debts import FRAMES_MAX, GAPS_MAX, Debts
from app.journal.disk import RealDisk
from app.journal.frame import NO_EXCHANGE, Frame
from app.journal.reader import JournalDirectory
from app.journal.space import BALLAST, BALLAST_BYTES
from app.journal.writer import JournalRules, JournalWriter
from tests.fakes.disk import Fault, FaultyDisk, SmallDisk
from tests.journal.segments import exchange_id, payloads_of, read_all, read_file
from tests.journal.writers import RULES, opened, put, skipped, until

WHOLE = [(1, b"begin"), (4, b"x" * 300), (5, b"end")]
QUICK = replace(RULES, fsync=0.01, segment_bytes=1_500)


def live_through(disk: FaultyDisk, folder: Path) -> list[int]:
    """Opens, writes over several segments, closes; gives the numbers of the exchanges that were acknowledged."""
    writer = JournalWriter(folder, 0, "host", QUICK, disk)
    try:
        writer.open()
        recovers = disk.fault is not Fault.CRASH
    except JournalError:
        recovers = False  # the start was refused
    acknowledged = []
    for number in range(12):
        if put(writer, exchange_id(number), b"x" * 300):
            acknowledged.append(number)
        if number % 4 == 3:
            writer._wake.set()
            threading.Event().wait(0.004)
    numbers = count(100)

    def records_again() -> bool:
        number = next(numbers)
        if not writer.admits() or not put(writer, exchange_id(number), b"x" * 300):
            return False
        acknowledged.append(number)
        return True

    try:
        if recovers:
            until(records_again)
    finally:
        writer.close()
    return acknowledged


def check(folder: Path, acknowledged: list[int], *, may_be_torn: bool) -> None:
    frames = []
    for name in JournalDirectory(folder).segments():
        reading = read_file(folder, name)
        assert reading.damaged_bytes == 0, name
        assert may_be_torn or reading.torn_bytes == 0, name
        frames += reading.places
    for number in acknowledged:
        assert payloads_of(frames, exchange_id(number)) == WHOLE


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", list(Fault))
def test_whichever_call_fails_what_was_acknowledged_is_there_and_nothing_is_damaged(
    tmp_path: Path, fault: Fault
) -> None:
    quiet = FaultyDisk()
    live_through(quiet, tmp_path / "quiet")
    assert len(quiet.calls) > 30
    for at in range(len(quiet.calls) + 2):
        folder = tmp_path / str(at)
        disk = FaultyDisk(fault, at)
        acknowledged = live_through(disk, folder)
        with contextlib.suppress(FileNotFoundError):
            check(folder, acknowledged, may_be_torn=fault is Fault.CRASH)
        if fault is Fault.NO_SPACE and at > 0:
            assert acknowledged[-1] >= 100
        shutil.rmtree(folder, ignore_errors=True)
    assert [each for each in threading.enumerate() if each.name == "journal"] == []


@pytest.mark.parametrize("fault", [Fault.NO_SPACE, Fault.IO_ERROR, Fault.SHORT_WRITE])
@pytest.mark.parametrize("length", [1, 3, 10])
def test_after_writes_failed_for_a_while_begin_and_end_are_there_in_order_and_recording_goes_on(
    folder: Path, fault: Fault, length: int
) -> None:
    disk = FaultyDisk(fault, range(3, 3 + length), frozenset({"append"}))
    with opened(folder, disk) as writer:
        results = []
        for number in range(6):
            results.append(put(writer, exchange_id(number), b"x" * 300))
            threading.Event().wait(0.002)
        assert False in results
        assert 1 <= writer.write_errors <= disk.failed
        assert writer.dropped_bytes == 300 * results.count(False)
        until(writer.admits)
        assert put(writer, exchange_id(99), b"x" * 300)
    frames = read_all(folder)
    assert payloads_of(frames, exchange_id(99)) == WHOLE
    for number, is_whole in enumerate(results):
        kept = payloads_of(frames, exchange_id(number))
        assert kept == WHOLE if is_whole else [kept[0], kept[-1]] == [WHOLE[0], WHOLE[-1]]


def test_a_chunk_that_was_refused_leaves_a_gap_and_no_later_chunk_is_tried(folder: Path) -> None:
    disk = FaultyDisk(Fault.NO_SPACE, 2, frozenset({"append"}))
    with opened(folder, disk) as writer:
        log = writer.exchange(exchange_id(1))
        log.stage(FrameType.BEGIN, b"begin")
        assert log.flush()
        log.stage(FrameType.RESPONSE_CHUNK, b"lost")
        assert not log.flush()
        assert log.gap
        until(writer.admits)
        log.stage(FrameType.RESPONSE_CHUNK, b"not tried")
        log.stage(FrameType.END, b"end")
        assert not log.flush()
        assert writer.dropped_bytes == len(b"lost" + b"not tried")
    frames = read_all(folder)
    assert payloads_of(frames, exchange_id(1)) == [(1, b"begin"), (5, b"end")]
    assert [each.sequence for each in frames] == [0, 3]


def test_an_end_that_was_staged_with_the_chunks_that_were_refused_says_so(folder: Path) -> None:
    disk = FaultyDisk(Fault.NO_SPACE, 1, frozenset({"append"}))
    end = End("completed", None, None, 0, 2, True)
    with opened(folder, disk) as writer:
        log, other = writer.exchange(exchange_id(1)), writer.exchange(exchange_id(2))
        for each in (log, other):
            each.stage(FrameType.BEGIN, b"begin")
        log.stage(FrameType.RESPONSE_CHUNK, b"{}")
        for each in (log, other):
            each.stage(FrameType.END, msgspec.msgpack.encode(end))
        writer.commit()
    frames = read_all(folder)
    ends = {
        each.exchange_id: msgspec.msgpack.decode(each.payload, type=End)
        for each in frames
        if each.kind == FrameType.END
    }
    assert ends[exchange_id(1)] == msgspec.structs.replace(end, gap=True)
    assert ends[exchange_id(2)] == end


def test_an_end_waits_for_a_beginning_that_is_owed_though_it_could_be_written(folder: Path) -> None:
    may_look = threading.Event()
    may_look.set()

    class Held(FaultyDisk):
        def sizes(self, path: Path) -> dict[str, int]:
            may_look.wait()
            return super().sizes(path)

    disk = Held(Fault.NO_SPACE, only=frozenset({"append"}))
    with opened(folder, disk) as writer:
        may_look.clear()
        log = writer.exchange(exchange_id(1))
        log.stage(FrameType.BEGIN, b"begin")
        disk.fails_at = range(len(disk.calls), len(disk.calls) + 2)
        assert not log.flush()
        writer._space.is_full = False
        log.stage(FrameType.END, b"end")
        assert not log.flush()
        assert put(writer, exchange_id(2), b"x" * 300)
        assert {each.exchange_id for each in read_all(folder)} == {exchange_id(2)}
        may_look.set()
    assert payloads_of(read_all(folder), exchange_id(1)) == [(1, b"begin"), (5, b"end")]


def test_what_is_owed_when_the_journal_is_closed_is_still_written(folder: Path) -> None:
    disk = FaultyDisk(Fault.NO_SPACE, range(1, 3), frozenset({"append"}))
    with opened(folder, disk, rules=replace(RULES, fsync=30.0)) as writer:
        assert not put(writer, exchange_id(1), b"x")
    assert payloads_of(read_all(folder), exchange_id(1)) == [(1, b"begin"), (5, b"end")]


def test_every_exchange_over_a_full_disk_is_recorded_or_in_a_note(folder: Path) -> None:
    disk = SmallDisk(folder, 20_000)
    recorded = []
    with opened(folder, disk) as writer:

        def take() -> bool:
            if not writer.admits():
                writer.skip("journal_full")
                return False
            number = writer.next_accept_number()
            put(writer, exchange_id(number), b"x" * 700)
            recorded.append(number)
            return True

        for _ in range(200):
            take()
        assert writer.dropped["journal_full"] > 100
        disk.capacity_bytes = 1_000_000
        until(take)
        until(lambda: all(take() for _ in range(3)))
        last = writer.next_accept_number()
    frames = read_all(folder)
    noted = [
        number for _, first, last_of_note in skipped(frames) for number in range(first, last_of_note + 1)
    ]
    assert sorted([*recorded, *noted]) == list(range(last))
    assert len(noted) == writer.dropped["journal_full"]
    for number in recorded:
        kept = payloads_of(frames, exchange_id(number))
        assert [kept[0], kept[-1]] == [(1, b"begin"), (5, b"end")]


@pytest.mark.parametrize("tells_free", [True, False])
def test_the_ballast_makes_room_for_ends_on_a_disk_without_any(folder: Path, tells_free: bool) -> None:
    disk = SmallDisk(folder, BALLAST_BYTES + 30_000, tells_free=tells_free)
    rules = replace(RULES, max_bytes=1 << 30)
    with opened(folder, disk, rules=rules) as writer:
        assert (folder / BALLAST).stat().st_size == BALLAST_BYTES
        logs = []
        for number in range(40):
            log = writer.exchange(exchange_id(number))
            log.stage(FrameType.BEGIN, b"begin")
            log.stage(FrameType.RESPONSE_CHUNK, b"x" * 1_000)
            log.flush()
            logs.append(log)
        assert any(log.gap for log in logs)
        until(lambda: not (folder / BALLAST).exists())
        for log in logs:
            log.stage(FrameType.END, b"end")
            log.flush()
        writer.skip("journal_full")
        until(lambda: not writer._debts)
        for _ in range(50):
            assert not writer.admits()
            threading.Event().wait(0.01)
        disk.capacity_bytes = 1 << 30
        until(writer.admits)
        assert (folder / BALLAST).stat().st_size == BALLAST_BYTES
    frames = read_all(folder)
    for number in range(40):
        kept = payloads_of(frames, exchange_id(number))
        assert [kept[0], kept[-1]] == [(1, b"begin"), (5, b"end")]
    assert skipped(frames) == [("journal_full", 0, 0)]
    assert not (folder / BALLAST).exists()


def test_the_budget_counts_all_segments_of_the_folder_and_ends_admission(folder: Path) -> None:
    other = folder / "s-00000000-7-00000000000000000000.seg"
    other.write_bytes(bytes(90_000))
    with opened(folder, rules=replace(RULES, max_bytes=100_000)) as writer:
        assert writer.admits()
        log = writer.exchange(exchange_id(1))
        log.stage(FrameType.BEGIN, b"begin")
        log.stage(FrameType.RESPONSE_CHUNK, b"x" * 10_000)
        assert log.flush()
        until(lambda: not writer.admits())
        log.stage(FrameType.RESPONSE_CHUNK, b"more")
        log.stage(FrameType.END, b"end")
        assert not log.flush()
        assert writer.size_bytes > 100_000
        other.unlink()
        until(writer.admits)
    assert [kind for kind, _ in payloads_of(read_file(folder, _last(folder)).places, exchange_id(1))] == [
        1,
        4,
        5,
    ]


def _last(folder: Path) -> str:
    return JournalDirectory(folder).segments()[-1]


def test_little_free_space_ends_admission_before_the_disk_is_full(folder: Path) -> None:
    disk = SmallDisk(folder, 1_000_000)
    with opened(folder, disk, rules=replace(RULES, min_free_bytes=900_000)) as writer:
        assert writer.admits()
        disk.capacity_bytes = 800_000
        until(lambda: not writer.admits())
        disk.capacity_bytes = 2_000_000
        until(writer.admits)
        assert writer.write_errors == 0


@pytest.mark.parametrize("room_bytes", [0, 1, 100])
def test_a_start_on_a_full_disk_succeeds_and_records_once_there_is_room(
    folder: Path, room_bytes: int
) -> None:
    disk = SmallDisk(folder, room_bytes)
    with opened(folder, disk) as writer:
        assert not writer.admits()
        writer.skip("journal_full")
        writer.skip("off")
        disk.capacity_bytes = 100_000
        until(writer.admits)
        until(lambda: put(writer, exchange_id(1), b"x" * 300))
    frames = read_all(folder)
    assert skipped(frames) == [("journal_full", 0, 0), ("off", 1, 1)]
    assert payloads_of(frames, exchange_id(1))[-3:] == WHOLE


def test_a_sync_that_failed_is_never_tried_again_on_the_same_segment(folder: Path) -> None:
    synced: list[int] = []

    class Failing(RealDisk):
        fails = False

        def sync(self, fd: int) -> None:
            synced.append(fd)
            if self.fails:
                self.fails = False
                raise OSError(5, "Input/output error")
            super().sync(fd)

    disk = Failing()
    with opened(folder, disk, rules=replace(RULES, fsync=0.01)) as writer:
        (first,) = JournalDirectory(folder).segments()
        (fd,) = synced
        put(writer, exchange_id(1), b"x" * 300)
        disk.fails = True
        until(lambda: writer.suspect_segments == 1)
        until(lambda: JournalDirectory(folder).is_orphan(first))
        assert synced.count(fd) <= 2
        assert put(writer, exchange_id(2), b"x" * 300)
    assert (folder / first).read_bytes().endswith(b"suspect")
    assert payloads_of(read_all(folder), exchange_id(1)) == WHOLE
    assert payloads_of(read_all(folder), exchange_id(2)) == WHOLE


def test_a_suspect_segment_that_cannot_be_replaced_goes_on_without_being_synced(folder: Path) -> None:
    creates = FaultyDisk(Fault.NO_SPACE, range(1, 6), frozenset({"create"}))
    synced: list[int] = []

    class Failing(RealDisk):
        def create(self, path: Path) -> int:
            return creates.create(path)

        def sync(self, fd: int) -> None:
            synced.append(fd)
            if len(synced) == 2:
                raise OSError(5, "Input/output error")
            super().sync(fd)

    with opened(folder, Failing(), rules=replace(RULES, fsync=0.01)) as writer:
        number = 0
        while creates.failed < 5:
            writer._space.is_full = False
            put(writer, exchange_id(number), b"x")
            number += 1
            threading.Event().wait(0.005)
        assert synced == synced[:1] * 2


def test_every_segment_is_synced_whole_before_it_is_let_go_of(folder: Path) -> None:
    synced: dict[int, int] = {}
    let_go: list[bool] = []

    class Watching(RealDisk):
        def sync(self, fd: int) -> None:
            synced[fd] = self.size(fd)
            super().sync(fd)

        def close(self, fd: int) -> None:
            if fd in synced:
                let_go.append(synced.pop(fd) == self.size(fd))
            super().close(fd)

    with opened(folder, Watching(), rules=replace(RULES, segment_age_ns=1)) as writer:
        while len(let_go) < 5:
            put(writer, exchange_id(1), b"x")
    assert all(let_go)


async def test_with_always_a_sync_that_fails_still_lets_the_answer_go(folder: Path) -> None:
    disk = FaultyDisk(Fault.IO_ERROR, range(1, 3), frozenset({"sync"}))
    with opened(folder, disk, rules=replace(RULES, fsync="always")) as writer:
        put(writer, exchange_id(1), b"x" * 300)
        released = asyncio.Event()
        writer.on_durable(writer.position, released.set)
        async with asyncio.timeout(10):
            await released.wait()
        assert writer.suspect_segments >= 1


def test_a_folder_that_is_removed_under_a_writer_is_made_anew(folder: Path) -> None:
    with opened(folder) as writer:
        put(writer, exchange_id(1), b"x" * 300)
        shutil.rmtree(folder)
        until(lambda: JournalDirectory(folder).segments())
        until(writer.admits)
        assert put(writer, exchange_id(2), b"x" * 300)
    assert payloads_of(read_all(folder), exchange_id(2)) == WHOLE


def test_a_name_that_may_not_be_durable_is_used_and_counted(folder: Path) -> None:
    """A published segment that its writer let go of would look like the end of the writer."""
    disk = FaultyDisk(Fault.IO_ERROR, 1, frozenset({"sync_folder"}))
    with opened(folder, disk, rules=replace(RULES, segment_age_ns=1)) as writer:
        put(writer, exchange_id(1), b"x" * 300)
        until(lambda: writer.suspect_segments == 1)
        assert not JournalDirectory(folder).is_orphan(_last(folder))
        put(writer, exchange_id(2), b"x" * 300)
    assert payloads_of(read_all(folder), exchange_id(2)) == WHOLE


def test_a_segment_that_cannot_be_made_leaves_the_old_one_in_use(folder: Path) -> None:
    disk = FaultyDisk(Fault.NO_SPACE, range(1, 4), frozenset({"create"}))
    with opened(folder, disk, rules=replace(RULES, segment_age_ns=1)) as writer:
        put(writer, exchange_id(1), b"x" * 300)
        until(lambda: disk.failed == 3)
        until(lambda: len(JournalDirectory(folder).segments()) > 1)
        until(writer.admits)
        put(writer, exchange_id(2), b"x" * 300)
    names = JournalDirectory(folder).segments()
    assert len({name[-24:-4] for name in names}) == len(names)
    for number in (1, 2):
        assert payloads_of(read_all(folder), exchange_id(number)) == WHOLE


def test_slow_writes_are_counted(folder: Path) -> None:
    class Slow(RealDisk):
        def append(self, fd, buffers):
            if len(buffers) > 2:
                threading.Event().wait(0.06)
            return super().append(fd, buffers)

    with opened(folder, Slow()) as writer:
        put(writer, exchange_id(1), b"x")
        assert writer.slow_writes == 1


def test_losses_are_said_once_in_a_while_and_counted_always(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), opened(folder, SmallDisk(folder, 0)) as writer:
        for _ in range(500):
            writer.skip("journal_full")
        threading.Event().wait(0.5)
        assert writer.dropped == {"journal_full": 500}
    events = [each.getMessage() for each in caplog.records]
    assert events.count("not_recorded") == 1
    assert events.count("segment_not_made") == 1
    assert events.count("journal_full") == 1
    assert events.count("journal_closed_owing") == 1


def test_the_thread_outlives_a_fault_of_our_own(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Odd(RealDisk):
        calls = 0

        def free_bytes(self, path: Path) -> int:
            self.calls += 1
            if self.calls == 2:
                raise ValueError("a mistake")
            return super().free_bytes(path)

    disk = Odd()
    with caplog.at_level(logging.ERROR), opened(folder, disk) as writer:
        until(lambda: disk.calls > 3)
        assert put(writer, exchange_id(1), b"x" * 300)
    assert "journal_thread_failed" in caplog.text


def test_debts_are_bounded_and_what_is_forgotten_is_counted() -> None:
    debts = Debts()
    for number in range(FRAMES_MAX + 5):
        debts.add_frame((exchange_id(1), 5, 0, number, 0, b"", None))
    assert (len(debts), debts.forgotten_frames) == (FRAMES_MAX, 5)
    for number in range(3 * GAPS_MAX):
        debts.add_gap("off" if number % 2 else "journal_full", number)
    assert len(debts) == FRAMES_MAX + GAPS_MAX
    assert debts.forgotten_frames == 5
    numbers = 0
    for _ in range(GAPS_MAX):
        frame = debts.first()
        assert frame[0] == NO_EXCHANGE
        ((_, first, last),) = skipped([_as_read(frame[5])])
        assert first == numbers
        numbers = last + 1
        debts.paid()
    assert numbers == 3 * GAPS_MAX
    assert debts.first()[0] == exchange_id(1)


def _as_read(payload: bytes) -> Frame:
    return Frame(0, FrameType.NOTE, 0, NO_EXCHANGE, 0, 0, payload)


def test_default_rules_keep_a_gibibyte_free_and_take_ten() -> None:
    rules = JournalRules()
    assert (rules.max_bytes, rules.min_free_bytes, rules.segment_bytes) == (10 << 30, 1 << 30, 64 << 20)
    assert (rules.fsync, rules.segment_age_ns) == (0.2, 5 * 10**9)
