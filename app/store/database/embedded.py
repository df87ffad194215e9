"""The embedded PostgreSQL: a child of the supervisor that ends with it, however it ends.

No asyncio: the supervisor is a synchronous process. `start` must be called from its main thread, because the kernel
ties the parent-death signal to the thread that forks. The cluster listens on a unix socket alone, and PostgreSQL asks
the kernel who is calling (`peer`): the cluster's owner and the user that started it, nobody else.

Its log cannot grow for ever and quotes no value: one file a weekday, started afresh each week, without statements,
parameters and details.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from app.clock import monotonic_ns
from app.errors import EmbeddedDatabaseError
from app.store.database.cluster import SOCKET_NAME, Cluster, find_cluster, make_private
from app.store.statements import statements

START_SECONDS = 60.0
"""Longest recovery after a crash that is waited for."""
OLD_SERVER_SECONDS = 10.0
"""How long a server whose owner was killed may take to go."""
STOP_SECONDS = 15.0
QUIT_SECONDS = 5.0
POLL_SECONDS = 0.02
PR_SET_PDEATHSIG = 1
NOBODYS_PID = 1 << 30
"""More than any kernel gives."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "40",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "wal_compression": "off",  # most of what is written is compressed already
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres:
    """One cluster under a data directory; `settings` are added to PostgreSQL's, or replace them."""

    process: subprocess.Popen[bytes] | None

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._data_dir = data_dir
        self._settings = {**SETTINGS, **(settings or {})}
        self._cluster: Cluster | None = None
        self.process = None

    def __repr__(self) -> str:
        state = f"pid {self.process.pid}" if self.process is not None else "not started"
        return f"EmbeddedPostgres({self.folder}, {state})"

    @property
    def folder(self) -> Path:
        """Where the cluster is."""
        return self._cluster.data if self._cluster else self._data_dir

    @property
    def displaced(self) -> bool:
        """Whether the cluster lies outside of the data directory, since its owner cannot enter that; to be said."""
        return self._cluster is not None and self._cluster.displaced

    def start(self) -> str:
        """Makes the cluster if there is none, starts PostgreSQL, and gives its URL once it takes connections."""
        try:
            cluster = self._cluster = find_cluster(self._data_dir)
            if not (cluster.data / "PG_VERSION").exists():
                _make_cluster(cluster)
            _check_version(cluster)
            make_private(cluster.sockets, cluster.owner)
            _write_access_rules(cluster)
            self._launch(cluster)
        except OSError as error:
            raise EmbeddedDatabaseError(str(error)) from error
        return cluster.url

    def stop(self) -> None:
        """Ends PostgreSQL: connections are cut, what was committed is safe. Does nothing where it does not run."""
        process, self.process = self.process, None
        if process is not None:
            _end(process)

    def _launch(self, cluster: Cluster) -> None:
        """Tries again while the server of an owner that was killed is still on its way out."""
        patience = _deadline(OLD_SERVER_SECONDS)
        with _claim(cluster, patience) as lock:
            while True:
                _disown(cluster.data / "postmaster.pid")
                _disown(cluster.sockets / f"{SOCKET_NAME}.lock")
                process = self.process = self._spawn(cluster, lock)
                if _becomes_ready(cluster, process):
                    return
                self.stop()
                said = _first_words(cluster)
                if not _is_old_server(said) or monotonic_ns() > patience:
                    raise EmbeddedDatabaseError(f"{said or 'it said nothing'} ({cluster.data}/log)")
                time.sleep(0.1)

    def _spawn(self, cluster: Cluster, lock: int) -> subprocess.Popen[bytes]:
        owner = cluster.owner
        options = {**self._settings, "unix_socket_directories": str(cluster.sockets)}
        command = [str(cluster.programs / "postgres"), "-D", str(cluster.data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with _start_log(cluster).open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=owner.environment(),
                cwd="/",
                pass_fds=(lock,),
                start_new_session=True,  # ^C in a terminal is for the supervisor, which stops us last
                preexec_fn=_die_with_parent(),  # runs after the change of user, which would clear it
                user=owner.user,
                group=owner.group,
                extra_groups=owner.extra_groups,
            )


def _make_cluster(cluster: Cluster) -> None:
    """initdb beside the final name, which appears whole: a cluster that is half made is never taken for one."""
    draft = cluster.data.with_name(f"{cluster.data.name}.new")
    for ctype in ("C.UTF-8", "C"):  # macOS and some containers have no C.UTF-8
        shutil.rmtree(draft, ignore_errors=True)
        make_private(draft, cluster.owner)
        made = cluster.owner.run(
            [
                *(str(cluster.programs / "initdb"), "-D", str(draft), "--username=verbatim", "--auth=peer"),
                *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *(f"--lc-ctype={ctype}", f"--lc-collate={ctype}", "--data-checksums", "--no-instructions"),
            ]
        )
        if made.returncode == 0:
            break
    else:
        raise EmbeddedDatabaseError(f"initdb: {made.stderr.strip() or made.stdout.strip()}")
    single = [str(cluster.programs / "postgres"), "--single", "-j", "-D", str(draft), "template1"]
    database = cluster.owner.run(single, stdin=statements("embedded")["create_database"] + "\n\n")
    if database.returncode != 0 or "ERROR" in database.stderr:
        raise EmbeddedDatabaseError(f"making the database: {database.stderr.strip()}")
    os.rename(draft, cluster.data)  # noqa: TID251 the journal's disk is not ours to use, and initdb has synced


def _check_version(cluster: Cluster) -> None:
    found = (cluster.data / "PG_VERSION").read_text().strip()
    if found != str(cluster.major):
        raise EmbeddedDatabaseError(
            f"{cluster.data} is of PostgreSQL {found}, this is {cluster.major}; upgrade it or move it away"
        )


def _write_access_rules(cluster: Cluster) -> None:
    """At each start anew, since the user that starts may have changed."""
    callers = {cluster.owner.name, pwd.getpwuid(os.geteuid()).pw_name}
    rules = {
        "pg_hba.conf": "local all all peer map=verbatim\nlocal replication all peer map=verbatim\n",
        "pg_ident.conf": "".join(f'verbatim "{name}" verbatim\n' for name in sorted(callers)),
    }
    for name, text in rules.items():
        path = cluster.data / name
        path.write_text(text)
        if cluster.owner.switches:
            os.chown(path, cluster.owner.uid, cluster.owner.gid)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks for a fast shutdown, then for an immediate one, then kills; and reaps."""
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, QUIT_SECONDS)):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    process.wait()


def _becomes_ready(cluster: Cluster, process: subprocess.Popen[bytes]) -> bool:
    """Waits until the server says so in its pid file; False where it ended."""
    deadline = _deadline(START_SECONDS)
    while process.poll() is None:
        lines = _pid_file(cluster)
        if len(lines) >= 8 and lines[0].strip() == str(process.pid) and lines[7].strip() == "ready":
            return True
        if monotonic_ns() > deadline:
            _end(process)
            raise EmbeddedDatabaseError(f"not ready after {START_SECONDS:.0f} s ({cluster.data}/log)")
        time.sleep(POLL_SECONDS)
    return False


def _pid_file(cluster: Cluster) -> list[str]:
    try:
        return (cluster.data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _claim(cluster: Cluster, patience_ns: int) -> Iterator[int]:
    """The lock of a cluster, waited for; its servers inherit it, so it is held until the last of them is gone.

    PostgreSQL's own locks are pids and shared memory, which another container on the same volume does not see.
    """
    path = cluster.data.with_name(f"{cluster.data.name}.lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if cluster.owner.switches:
            os.fchown(lock, cluster.owner.uid, cluster.owner.gid)
        while not _is_locked(lock):
            if monotonic_ns() > patience_ns:
                raise EmbeddedDatabaseError(
                    f"another PostgreSQL runs on {cluster.data}; each Verbatim needs a VERBATIM_DATA_DIR of its own"
                )
            time.sleep(POLL_SECONDS)
        yield lock
    finally:
        os.close(lock)


def _is_locked(lock: int) -> bool:
    """Takes the lock if nobody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _disown(lock: Path) -> None:
    """Takes the pid of a server that is gone out of its lock file; the rest stays, PostgreSQL looks at it.

    A container gives the same few pids at every start: a killed server's is soon another process's, which PostgreSQL
    would take for a server that still runs, or our new server's, whose `ready` would be the old one's.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        pid, _, rest = lock.read_text().partition("\n")
    except FileNotFoundError:
        return
    try:
        runs = Path(f"/proc/{int(pid)}/comm").read_text() == "postgres\n"
    except (OSError, ValueError):
        runs = False
    if not runs:
        lock.write_text(f"{NOBODYS_PID}\n{rest}")


def _start_log(cluster: Cluster) -> Path:
    """What the server says before it opens its log; each start begins it anew."""
    return cluster.data.with_name(f"{cluster.data.name}.start.log")


def _first_words(cluster: Cluster) -> str:
    said = _start_log(cluster).read_text(errors="replace")
    fatal = [line for line in said.splitlines() if "FATAL" in line or "PANIC" in line]
    return (fatal or said.splitlines() or [""])[-1].strip()


def _is_old_server(said: str) -> bool:
    return "postmaster.pid" in said or "shared memory block" in said or ".lock" in said


def _die_with_parent() -> Callable[[], None] | None:
    """For the child: SIGINT, a fast and clean stop, once its parent is gone. Linux alone has it."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before it was asked for

    return ask


def _deadline(seconds: float) -> int:
    return monotonic_ns() + int(seconds * 1_000_000_000)
