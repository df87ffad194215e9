from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import stat
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from app.errors import JournalError, JournalUnsupportedError
from app.exchange import FrameType
from app.journal.disk import RealDisk
from app.journal.frame import MAX_PAYLOAD_BYTES, NO_EXCHANGE
from app.journal.reader import JournalDirectory, SegmentReader
from app.journal.segment import NEW_SUFFIX, SegmentFile
from app.journal.writer import JournalWriter
from tests.fakes.disk import Fault, FaultyDisk
from tests.journal.segments import exchange_id, payloads_of, read_all, read_file, told
from tests.journal.writers import RULES, opened, put, skipped, until

ONE, TWO = exchange_id(1), exchange_id(2)


def test_what_flush_wrote_can_be_read_before_it_returns(folder: Path) -> None:
    with opened(folder) as writer:
        log = writer.exchange(ONE)
        (name,) = JournalDirectory(folder).segments()
        reader = SegmentReader(JournalDirectory(folder), name)
        assert (reader.header.boot, reader.header.slot, reader.header.hostname) == (writer.boot, 0, "host")
        log.stage(FrameType.BEGIN, b"head")
        log.stage(FrameType.REQUEST_CHUNK, b"body")
        assert reader.read() == []
        assert log.flush()
        assert [told(each) for each in reader.read()] == [(1, ONE, 0, b"head"), (2, ONE, 1, b"body")]
        log.stage(FrameType.END, b"")
        assert log.flush()
        assert log.flush()
        assert [told(each) for each in reader.read()] == [(5, ONE, 2, b"")]
        assert not log.gap
        assert writer.frames == 3
        reader.close()


def test_frames_that_are_ready_together_go_in_one_call(folder: Path) -> None:
    disk = FaultyDisk(only=frozenset({"append"}))
    with opened(folder, disk) as writer:
        before = len(disk.calls)
        put(writer, ONE, b"a", b"b", b"c")
        assert len(disk.calls) == before + 1


def test_a_closed_journal_is_sealed_and_an_orphan(folder: Path) -> None:
    with opened(folder) as writer:
        put(writer, ONE, b"x")
        (name,) = JournalDirectory(folder).segments()
        assert not JournalDirectory(folder).is_orphan(name)
    assert read_file(folder, name).sealed
    assert JournalDirectory(folder).is_orphan(name)
    assert [each.name for each in folder.iterdir()] == [name]


def test_a_payload_over_a_mebibyte_becomes_several_frames_that_say_more(folder: Path) -> None:
    sizes = [MAX_PAYLOAD_BYTES - 1, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1, 3 * MAX_PAYLOAD_BYTES]
    payloads = [os.urandom(size) for size in sizes]
    with opened(folder) as writer:
        put(writer, ONE, *payloads)
    frames = read_all(folder)
    assert [each.sequence for each in frames] == list(range(9))
    assert [payload for _, payload in payloads_of(frames, ONE)] == [b"begin", *payloads, b"end"]


def test_accept_numbers_are_dense_whatever_becomes_of_the_exchanges(folder: Path) -> None:
    with opened(folder) as writer:
        assert [writer.next_accept_number() for _ in range(2)] == [0, 1]
        writer.skip("off")
        assert writer.next_accept_number() == 3
        writer.skip("journal_full")
        writer.skip("journal_full")
        writer.skip("off")
        assert writer.next_accept_number() == 7
        assert (writer.off, writer.dropped) == (2, {"journal_full": 2})
    assert sorted(skipped(read_all(folder)), key=lambda each: each[1]) == [
        ("off", 2, 2),
        ("journal_full", 4, 5),
        ("off", 6, 6),
    ]


def test_an_exchange_that_is_off_is_noted_at_once(folder: Path) -> None:
    with opened(folder) as writer:
        writer.skip("off")
        (name,) = JournalDirectory(folder).segments()
        reader = SegmentReader(JournalDirectory(folder), name)
        assert [each.exchange_id for each in reader.read()] == [NO_EXCHANGE]
        reader.close()


def test_each_start_of_a_writer_has_a_boot_of_its_own(folder: Path) -> None:
    boots = set()
    for _ in range(3):
        with opened(folder, slot=4) as writer:
            assert re.fullmatch("[0-9a-f]{8}", writer.boot)
            assert writer.slot == 4
            assert writer.next_accept_number() == 0
            boots.add(writer.boot)
    assert len(boots) == len(JournalDirectory(folder).segments()) == 3


def test_a_segment_that_is_large_enough_is_followed_by_another_and_nothing_is_lost(folder: Path) -> None:
    written = 0

    def writes_on() -> bool:
        nonlocal written
        put(writer, exchange_id(written), b"x" * 500)
        written += 1
        return len(JournalDirectory(folder).segments()) > 5

    with opened(folder, rules=replace(RULES, segment_bytes=2_000)) as writer:
        until(writes_on)
    names = JournalDirectory(folder).segments()
    assert [int(name[-24:-4]) for name in names] == list(range(len(names)))
    assert all(read_file(folder, name).sealed for name in names)
    frames = read_all(folder)
    for number in range(written):
        assert payloads_of(frames, exchange_id(number)) == [(1, b"begin"), (4, b"x" * 500), (5, b"end")]


def test_a_segment_that_is_old_enough_is_ended_though_nothing_more_is_written(folder: Path) -> None:
    with opened(folder, rules=replace(RULES, segment_age_ns=100_000_000)) as writer:
        (first,) = JournalDirectory(folder).segments()
        put(writer, ONE, b"x")
        until(lambda: JournalDirectory(folder).is_orphan(first))
        assert read_file(folder, first).sealed
        second = JournalDirectory(folder).segments()[1]
        put(writer, TWO, b"y")
        assert {each.exchange_id for each in read_file(folder, second).places} == {TWO}


def test_an_empty_segment_is_not_replaced_however_old(folder: Path) -> None:
    disk = FaultyDisk(only=frozenset({"sizes"}))
    with opened(folder, disk, rules=replace(RULES, segment_age_ns=1)):
        until(lambda: len(disk.calls) > 2)
        assert len(JournalDirectory(folder).segments()) == 1


def test_the_next_segment_has_its_name_before_the_last_is_let_go_of(folder: Path) -> None:
    """Else a recorder would take the writer for dead."""

    seen: list[list[bool]] = []

    class Watching(RealDisk):
        def close(self, fd: int) -> None:
            directory = JournalDirectory(folder)
            if os.readlink(f"/dev/fd/{fd}").endswith(".seg"):
                seen.append([directory.is_orphan(name) for name in directory.segments()])
            super().close(fd)

    def has_seen(more_than: int) -> bool:
        return len(seen) > more_than

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc to tell a descriptor's file")
    with opened(folder, Watching(), rules=replace(RULES, segment_age_ns=1)) as writer:
        for number in range(5):
            put(writer, exchange_id(number), b"x")
            until(partial(has_seen, number))
    assert all(not each[-1] and each.count(False) == 2 for each in seen[:5])


def test_folder_and_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "journal"
    with opened(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for path in folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("call", ["try_lock", "sync"])
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK])
def test_a_file_system_without_locks_or_syncs_is_refused(folder: Path, call: str, number: int) -> None:
    class Lacking(RealDisk):
        def try_lock(self, fd: int) -> bool:
            if call == "try_lock":
                raise OSError(number, os.strerror(number))
            return super().try_lock(fd)

        def sync(self, fd: int) -> None:
            if call == "sync":
                raise OSError(number, os.strerror(number))
            super().sync(fd)

    with pytest.raises(JournalUnsupportedError, match="lacks flock or fdatasync"):
        JournalWriter(folder, 0, "host", RULES, Lacking()).open()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("call", ["make_folder", "create", "try_lock", "append", "sync", "rename"])
def test_a_start_that_fails_says_where_and_leaves_no_thread(folder: Path, call: str) -> None:
    writer = JournalWriter(folder, 0, "host", RULES, FaultyDisk(Fault.IO_ERROR, 0, frozenset({call})))
    with pytest.raises(JournalError, match=f"{re.escape(str(folder))}: Input/output error"):
        writer.open()
    assert [each.name for each in threading.enumerate() if each.name == "journal"] == []


@pytest.mark.parametrize(
    ("kind", "event"), [("nfs4", None), ("overlay", "ephemeral"), ("tmpfs", "ephemeral"), ("ext4", "")]
)
def test_network_file_systems_are_refused_and_ephemeral_ones_warned_of(
    folder: Path, kind: str, event: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    class Named(RealDisk):
        def kind(self, path: Path) -> str:
            return kind

    if event is None:
        with pytest.raises(JournalUnsupportedError, match="is on nfs4"):
            JournalWriter(folder, 0, "host", RULES, Named()).open()
        return
    with caplog.at_level(logging.WARNING), opened(folder, Named()):
        assert ("journal_is_ephemeral" in caplog.text) == bool(event)


def test_what_a_dead_maker_left_is_removed_and_what_a_live_one_or_a_young_one_has_is_not(
    folder: Path,
) -> None:
    live = SegmentFile(folder, "0a1b2c3d", 1, 0, "host")
    names = {
        "dead": "s-00000000-0-00000000000000000000.seg",
        "young": "s-00000000-0-00000000000000000001.seg",
    }
    for name in names.values():
        (folder / (name + NEW_SUFFIX)).write_bytes(b"half a header")
    for name in (names["dead"], live.name):
        os.utime(folder / (name + NEW_SUFFIX), (1, 1))
    with opened(folder):
        left = {each.name for each in folder.iterdir() if each.name.endswith(NEW_SUFFIX)}
        assert left == {names["young"] + NEW_SUFFIX, live.name + NEW_SUFFIX}
    live.close()


def test_many_writers_may_start_at_once_in_one_folder(folder: Path) -> None:
    done: list[bool] = []

    def live(slot: int) -> None:
        for _ in range(5):
            with opened(folder, slot=slot) as writer:
                done.append(put(writer, exchange_id(slot), b"x"))

    threads = [threading.Thread(target=live, args=(slot,)) for slot in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True] * 40
    assert len(JournalDirectory(folder).segments()) == 40


async def test_with_always_a_callback_comes_on_the_loop_after_a_sync_that_covers_it(folder: Path) -> None:
    synced: list[int] = []

    class Slow(RealDisk):
        def sync(self, fd: int) -> None:
            size = self.size(fd)
            threading.Event().wait(0.01)
            super().sync(fd)
            synced.append(size)

    released: list[tuple[int, int]] = []
    with opened(folder, Slow(), rules=replace(RULES, fsync="always")) as writer:
        assert writer.defers_sends
        header = (folder / JournalDirectory(folder).segments()[0]).stat().st_size
        synced.clear()

        def release(position: int) -> None:
            assert threading.current_thread() is threading.main_thread()
            released.append((position, max(synced, default=0) - header))

        for number in range(100):
            put(writer, exchange_id(number), b"x")
            writer.on_durable(writer.position, partial(release, writer.position))
            if number % 10 == 0:
                await asyncio.sleep(0.003)
        async with asyncio.timeout(10):
            while len(released) < 100:
                await asyncio.sleep(0.001)
        assert [position for position, _ in released] == sorted(position for position, _ in released)
        assert all(durable >= position for position, durable in released)
        assert len(synced) < 60  # in groups
        writer.on_durable(writer.position, lambda: released.append((0, 0)))
        assert len(released) == 101  # durable already: at once


async def test_with_always_a_rotation_releases_nothing_that_is_not_synced(folder: Path) -> None:
    released: list[int] = []
    rules = replace(RULES, fsync="always", segment_bytes=500)
    with opened(folder, rules=rules) as writer:
        written = 0
        async with asyncio.timeout(15):
            while written < 100 or len(JournalDirectory(folder).segments()) < 4:
                put(writer, exchange_id(written), b"x" * 100)
                writer.on_durable(writer.position, partial(released.append, written))
                written += 1
                await asyncio.sleep(0)
            while len(released) < written:
                await asyncio.sleep(0.001)
    assert released == list(range(written))


@pytest.mark.parametrize("fsync", ["off", 0.05, 10.0])
async def test_without_always_a_callback_comes_at_once(folder: Path, fsync: str | float) -> None:
    with opened(folder, rules=replace(RULES, fsync=fsync)) as writer:
        assert not writer.defers_sends
        put(writer, ONE, b"x")
        called: list[bool] = []
        writer.on_durable(writer.position, lambda: called.append(True))
        assert called == [True]


def test_an_interval_syncs_what_is_new_and_only_then(folder: Path) -> None:
    disk = FaultyDisk(only=frozenset({"sync"}))
    with opened(folder, disk, rules=replace(RULES, fsync=0.02)) as writer:
        born = len(disk.calls)
        threading.Event().wait(0.1)
        assert len(disk.calls) == born
        put(writer, ONE, b"x")
        until(lambda: len(disk.calls) == born + 1)


def test_a_long_interval_is_kept_though_the_thread_looks_more_often(folder: Path) -> None:
    disk = FaultyDisk(only=frozenset({"sync"}))
    with opened(folder, disk, rules=replace(RULES, fsync=30.0)) as writer:
        put(writer, ONE, b"x")
        until(lambda: len(disk.calls) == 2)
        for _ in range(5):
            put(writer, ONE, b"x")
            writer._wake.set()
            threading.Event().wait(0.02)
        assert len(disk.calls) == 2


def test_off_never_syncs_what_is_written(folder: Path) -> None:
    disk = FaultyDisk(only=frozenset({"sync"}))
    with opened(folder, disk, rules=replace(RULES, fsync="off", segment_age_ns=1)) as writer:
        put(writer, ONE, b"x")
        until(lambda: len(JournalDirectory(folder).segments()) > 1)
    assert len(disk.calls) == len(JournalDirectory(folder).segments())  # at birth


async def test_a_child_of_a_fork_does_not_hold_the_lock_once_it_runs_a_program(folder: Path) -> None:
    with opened(folder) as writer:
        child = await asyncio.create_subprocess_exec("sleep", "30")
        try:
            (name,) = JournalDirectory(folder).segments()
            writer.close()
            assert JournalDirectory(folder).is_orphan(name)
        finally:
            child.kill()
            await child.wait()
