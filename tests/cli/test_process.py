"""What the kernel is told about a process."""

import os
import resource
import signal
from pathlib import Path

import pytest

from app.cli.process import MOST_FILES, forbid_core_dumps, name_process, raise_file_limit, watch_parent
from tests.cli.processes import eventually


def test_the_pipe_tells_of_a_parents_death():
    reading, writing = os.pipe()
    told = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: told.append(number))
    try:
        watch_parent(reading, signal.SIGUSR1)
        os.close(writing)
        eventually(lambda: told, "the signal")
    finally:
        signal.signal(signal.SIGUSR1, previous)
        os.close(reading)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_a_process_has_its_name_dumps_no_core_and_takes_all_files_it_may():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        name_process("verbatim-proxy-0")
        forbid_core_dumps()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        raise_file_limit()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, MOST_FILES)
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        os.write(writing, f"{Path('/proc/self/comm').read_text().strip()} {limits} {files}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 200) == b"verbatim-proxy- (0, 0) True"
    os.close(reading)
    os.close(writing)
