"""What goes wrong: processes that are killed or stopped, a database that goes away, a disk that fills up."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app.store.database.embedded import EmbeddedPostgres
from tests.cli.processes import descendants_of, is_running
from tests.product import Product

FAST = {"fsync": "off", "full_page_writes": "off"}


def processes(product: Product, word: str = "") -> list[int]:
    """Pids of the product's processes whose name holds a word (`proxy`, `recorder`), PostgreSQL's left out."""
    found = []
    for pid in descendants_of(product.process.pid):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if word in name and name.startswith("vb-"):
            found.append(pid)
    return found


def peak_mib(pid: int) -> int:
    """The most memory that a process has held; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM")), 0)


class Killer:
    """SIGKILLs one process of a kind at a time, never the same twice."""

    def __init__(self, product: Product, word: str) -> None:
        self._product = product
        self._word = word
        self._killed: set[int] = set()

    async def kill(self) -> int:
        """Waits for one that lives and kills it; gives its pid."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            alive = [pid for pid in processes(self._product, self._word) if pid not in self._killed]
            if alive:
                pid = random.choice(alive)
                self._killed.add(pid)
                os.kill(pid, signal.SIGKILL)
                return pid
            await asyncio.sleep(0.05)
        raise TimeoutError(f"no {self._word} lives")


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end whatever happens."""
    for pid in pids:
        with suppress(ProcessLookupError):  # a backend may end by itself
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            if is_running(pid):
                os.kill(pid, signal.SIGCONT)


class OwnDatabase:
    """A PostgreSQL of the test's own, which can be ended in every way."""

    def __init__(self, folder: Path | None = None, **settings: str) -> None:
        self._folder = folder or Path(tempfile.mkdtemp(prefix="verbatim-faults-"))
        self._folder.chmod(0o711)  # its own user has to reach it
        self._postgres = EmbeddedPostgres(self._folder / "pg", {**FAST, **settings})
        self.url = ""

    def start(self) -> None:
        """Starts it again; no error where it runs."""
        if self._postgres.process is None or self._postgres.process.poll() is not None:
            self.url = self._postgres.start()

    def stop(self) -> None:
        """A fast shutdown."""
        self._postgres.stop()

    def end(self, number: signal.Signals) -> None:
        """Another end: SIGQUIT is an immediate shutdown, SIGKILL kills the postmaster alone."""
        process = self._postgres.process
        if process is not None:
            process.send_signal(number)
            process.wait()

    def pids(self) -> list[int]:
        """The postmaster, and every process of its own."""
        process = self._postgres.process
        return [] if process is None else [process.pid, *descendants_of(process.pid)]

    def run(self, *commands: str) -> None:
        """SQL as the cluster's owner."""
        import asyncpg

        async def execute() -> None:
            connection = await asyncpg.connect(self.url)
            try:
                for command in commands:
                    await connection.execute(command)
            finally:
                await connection.close()

        asyncio.run(execute())

    def url_of_role(self, name: str) -> str:
        """Makes a role with no special rights that owns the database, and gives the URL for it."""
        folder = self._postgres.folder
        (folder / "pg_hba.conf").write_text("local all all trust\n")  # behind a socket of the owner's alone
        self.run(
            "SELECT pg_reload_conf()", f"CREATE ROLE {name} LOGIN", f"ALTER DATABASE verbatim OWNER TO {name}"
        )
        return self.url.replace("user=verbatim", f"user={name}")

    def remove(self) -> None:
        """Ends it for good."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs at a folder (`size=16m`, `nr_inodes=20`); skips where it cannot be mounted."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"{options},mode=0700", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small tmpfs can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """In the folder nothing can be made, renamed or deleted, not even by root; skips where that cannot be had."""
    if subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("a folder can be made immutable by root and on some file systems only")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)


def fill(path: Path) -> None:
    """Takes all the room there is."""
    try:
        with path.open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
    except OSError:
        return


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """A cgroup (version 1) with a limit on memory, to put pids in; skips where none can be made."""
    folder = Path(f"/sys/fs/cgroup/memory/verbatim-faults-{os.getpid()}")
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
    except OSError:
        pytest.skip("no cgroup with a limit on memory can be made here")
    try:
        yield folder
    finally:
        time.sleep(0.2)
        folder.rmdir()
