"""What the kernel is told about a process: whose child it is, its name, no core dumps."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading

MOST_FILES = 1 << 18

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15


def forbid_core_dumps() -> None:
    """A dump would hold what clients send; children inherit this."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def raise_file_limit() -> None:
    """Takes as many file descriptors as this user may have: each exchange needs two; children inherit this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            # macOS says that there is no limit and has one.
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def name_process(name: str) -> None:
    """The name that `ps -o comm` and `top` show; 15 characters on Linux, nothing elsewhere."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode("ascii", "replace")[:15]))


def die_with_parent(parent_pid: int, parent_pipe: int, orphan_signal: signal.Signals) -> None:
    """Sends this process `orphan_signal` when its parent ends, however it ends.

    Call it in the child, after any change of user (which would undo it). `parent_pipe` is the reading end of a pipe
    whose writing end only the parent holds: the way where the kernel has no parent-death signal.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, orphan_signal)
        os.close(parent_pipe)
    else:
        watch_parent(parent_pipe, orphan_signal)
    if os.getppid() != parent_pid:
        # It ended before we could say so.
        os.kill(os.getpid(), orphan_signal)


def watch_parent(parent_pipe: int, orphan_signal: signal.Signals) -> None:
    """Sends this process `orphan_signal` when the other end of the pipe is closed."""

    def watch() -> None:
        while os.read(parent_pipe, 1):
            pass
        os.kill(os.getpid(), orphan_signal)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def _prctl(option: int, argument: object) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)
