"""What the kernel says of a process: CPU, memory, children, where it may run. Linux only."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SCHED_CLOCK = 2


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads, ended ones included; to the nanosecond.

    It is utime + stime of /proc/PID/stat, without that file's ticks of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | _SCHED_CLOCK)


def stat_cpu_seconds(pid: int, *, with_children: bool = False) -> float:
    """The same from /proc/PID/stat; with the children that have ended and were waited for, if so wished."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(each) for each in fields[11 : 15 if with_children else 13])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one process in MB (10^6 bytes); pss_mb is None where the kernel does not show it."""

    rss_mb: float
    peak_rss_mb: float
    pss_mb: float | None


def memory(pid: int) -> Memory:
    """What a process holds now, and the most it ever held."""
    status = _kilobytes(Path(f"/proc/{pid}/status").read_text())
    pss: float | None = None
    with suppress(OSError):
        pss = _kilobytes(Path(f"/proc/{pid}/smaps_rollup").read_text())["Pss"]
    return Memory(status["VmRSS"], status["VmHWM"], pss)


def _kilobytes(text: str) -> dict[str, float]:
    """Lines such as `VmRSS:  123 kB`, in MB."""
    lines = [line.split() for line in text.splitlines()]
    return {line[0].rstrip(":"): int(line[1]) * 1024 / 1e6 for line in lines if line[-1:] == ["kB"]}


def children(pid: int) -> dict[int, str]:
    """Names of a process's children by their ids."""
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            if int(rest.split()[1]) == pid:
                found[int(folder.name)] = name
    return found


def child(pid: int, name: str) -> int:
    """The child whose name ends so; raises RuntimeError where there is none."""
    found = children(pid)
    for each, its_name in found.items():
        if its_name.endswith(name):
            return each
    raise RuntimeError(f"process {pid} has no child {name}, only {', '.join(found.values())}")


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        found += children(each)
    return found


def tree_cpu_seconds(pid: int) -> float:
    """CPU of a process and all below it, those included that have ended and were waited for."""
    total = 0.0
    for each in tree(pid):
        with suppress(OSError):
            total += stat_cpu_seconds(each, with_children=True)
    return total


def tree_pss_mb(pid: int, without: int) -> float | None:
    """PSS of a process and all below it but another and all below that; None where the kernel does not show it."""
    left_out = set(tree(without))
    total = 0.0
    for each in tree(pid):
        if each in left_out:
            continue
        try:
            share_mb = memory(each).pss_mb
        except (OSError, KeyError):
            # It has ended.
            continue
        if share_mb is None:
            return None
        total += share_mb
    return total


def pin(pid: int, cores: set[int]) -> None:
    """Puts a process, all its threads, on these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            os.sched_setaffinity(int(thread.name), cores)
