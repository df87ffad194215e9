"""Real processes for the tests: started, watched, and gone at the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
WAIT_SECONDS = 15.0


def eventually(look: Callable[[], T], what: str) -> T:
    """What `look` gives as soon as it is true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """False for a process that is gone or only waits to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def children_of(pid: int) -> dict[str, int]:
    """Running children by the name the kernel knows them by; of several of one name one."""
    return dict(_children(pid))


def _children(pid: int) -> Iterator[tuple[str, int]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            head, _, tail = (entry / "stat").read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(tail.split()[1]) == pid and tail.split()[0] not in "ZX":
            yield head.partition("(")[2], int(entry.name)


def descendants_of(pid: int) -> list[int]:
    """Every running process below another."""
    direct = [child for _, child in _children(pid)]
    return [*direct, *(each for child in direct for each in descendants_of(child))]


def is_free(port: int) -> bool:
    """True where a program can listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def start(*arguments: str, environ: dict[str, str] | None = None, **options) -> subprocess.Popen[str]:
    """A Python program in the repository, with no setting of the product but those given."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("VERBATIM_")}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**clean, "PYTHONPATH": str(REPOSITORY), **(environ or {})},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Ends a process and everything below it, however it is."""
    below = descendants_of(process.pid)
    if process.poll() is None:
        process.kill()
    process.communicate()
    for pid in below:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)
