"""Writers that are real processes: killed, stopped, and held to a file size by the kernel."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.errors import JournalError
from app.journal.reader import JournalDirectory, SegmentReader
from tests.journal.segments import exchange_id, read_file
from tests.journal.writers import RULES, opened, put, until

REPOSITORY = Path(__file__).parent.parent.parent


@contextmanager
def writing(folder: Path, seconds: float = 15, limit_bytes: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes; it is dead behind."""
    command = [
        sys.executable,
        "-m",
        "tests.journal.writer_process",
        str(folder),
        str(seconds),
        str(limit_bytes),
    ]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def lines_of(process: subprocess.Popen[bytes], after: bytes) -> list[bytes]:
    """What a process told, to its end."""
    assert process.stdout is not None
    rest = process.stdout.read()
    process.wait()
    return (after + rest).splitlines()


def check(folder: Path, lines: list[bytes], *, may_be_torn: bool) -> int:
    """Each frame that was told is there, no bytes are damaged; gives how many frames were told."""
    directory = JournalDirectory(folder)
    found = {}
    for name in directory.segments():
        assert directory.is_orphan(name)
        reading = read_file(folder, name)
        assert reading.damaged_bytes == 0
        assert may_be_torn or reading.torn_bytes == 0
        for frame in reading.places:
            key = (frame.exchange_id, frame.sequence)
            assert key not in found
            found[key] = zlib.crc32(frame.payload)
    told = [line.split() for line in lines if line[:1].isdigit()]
    for number, sequence, crc in told:
        assert found[(exchange_id(int(number)), int(sequence))] == int(crc)
    return len(told)


@pytest.mark.timeout(60)
def test_after_a_kill_at_any_moment_every_frame_that_was_acknowledged_is_there(tmp_path: Path) -> None:
    chance = random.Random(11)
    frames = 0
    folders = [tmp_path / str(number) for number in range(20)]
    for folder in folders:
        with writing(folder) as process:
            assert process.stdout is not None
            told = process.stdout.readline()
            time.sleep(chance.random() * 0.15)
            process.send_signal(signal.SIGKILL)
            frames += check_dead(folder, process, told)
    assert frames > 2_000
    # The next writer starts over what dead ones left.
    with opened(folders[0]) as writer:
        assert put(writer, exchange_id(1), b"x")


def check_dead(folder: Path, process: subprocess.Popen[bytes], told: bytes) -> int:
    """As `check`, once the process is gone."""
    lines = lines_of(process, told)
    assert process.returncode == -signal.SIGKILL
    return check(folder, lines, may_be_torn=True)


def test_a_stopped_writer_is_no_orphan_and_a_killed_one_is_at_once(folder: Path) -> None:
    directory = JournalDirectory(folder)
    with writing(folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        name = directory.segments()[-1]
        assert not any(directory.is_orphan(name) for _ in range(100))
        reader = SegmentReader(directory, name)
        while reader.read():
            continue
        assert (reader.damaged_bytes, reader.torn_bytes) == (0, 0)
        reader.close()
        process.send_signal(signal.SIGCONT)
    assert directory.is_orphan(directory.segments()[-1])


@pytest.mark.parametrize("seed", range(4))
def test_a_limit_on_the_size_of_files_costs_frames_but_neither_the_process_nor_a_whole_frame(
    folder: Path, seed: int
) -> None:
    limit = random.Random(seed).randrange(3_000, 12_000)
    with writing(folder, 0.6, limit) as process:
        lines = lines_of(process, b"")
        assert process.returncode == 0
    assert b"refused" in lines
    assert check(folder, lines, may_be_torn=False) > 5
    assert int(lines[-1].split()[1]) > 0
    assert max(path.stat().st_size for path in folder.iterdir()) <= limit


def test_a_file_system_that_is_really_full_is_survived_and_used_again(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small tmpfs can be mounted by root only")
    try:
        filler = mount / "filler"
        filler.write_bytes(bytes(200_000))
        with opened(mount / "journal", rules=RULES) as writer:
            results = [put(writer, exchange_id(number), bytes(2_000)) for number in range(100)]
            assert True in results
            assert not results[-1]
            filler.unlink()
            until(writer.admits)
            assert put(writer, exchange_id(100), b"x")
        for name in JournalDirectory(mount / "journal").segments():
            reading = read_file(mount / "journal", name)
            assert (reading.damaged_bytes, reading.torn_bytes) == (0, 0)
    finally:
        subprocess.run(["umount", mount], check=True)


def test_segments_can_be_unlinked_while_a_child_was_started_by_the_writer(folder: Path) -> None:
    """A child that ran on with the lock would make an orphan look alive for ever."""
    with opened(folder) as writer:
        put(writer, exchange_id(1), b"x")
        with subprocess.Popen(["sleep", "30"]) as child:
            writer.close()
            directory = JournalDirectory(folder)
            assert all(map(directory.is_orphan, directory.segments()))
            child.kill()


def test_a_killed_recorder_makes_place_for_the_next_one_at_once_and_a_stopped_one_does_not(
    folder: Path,
) -> None:
    program = (
        "import sys, time; from pathlib import Path; from app.journal.reader import JournalDirectory;"
        "JournalDirectory(Path(sys.argv[1])).lock_recorder(); print(flush=True); time.sleep(60)"
    )
    directory = JournalDirectory(folder)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            with pytest.raises(JournalError, match="another recorder"):
                directory.lock_recorder()
        finally:
            process.kill()
    directory.lock_recorder()
    directory.unlock_recorder()
