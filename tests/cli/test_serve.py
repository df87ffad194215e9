"""`verbatim serve` as a user runs it: real processes, a data directory of its own, real ports."""

import http.client
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from tests.cli.processes import children_of, descendants_of, eventually, finish, is_free, is_running, start

START_SECONDS = 10.0
CHILDREN = {"vb-proxy-0", "vb-recorder", "vb-console", "vb-database"}

pytestmark = pytest.mark.timeout(60)


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


class Serve:
    """A `verbatim serve` (or another verb) on free ports."""

    def __init__(self, data_dir: Path, *verb: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.port, self.console_port = free_ports()
        self.log = data_dir.with_suffix(".log")
        environ = {
            "DATA_DIR": str(data_dir),
            "PORT": str(self.port),
            "CONSOLE_PORT": str(self.console_port),
            **settings,
        }
        with self.log.open("a") as log:
            self.process = start(
                *("-m", "app", *(verb or ("serve",))),
                environ={f"VERBATIM_{name}": text for name, text in environ.items()},
                stderr=log,
            )

    def get(self, port: int, path: str, token: str = "") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def is_healthy(self, port: int) -> bool:
        return self.get(port, "/healthz")[0] == 200

    def wait_until_healthy(self) -> None:
        for port in (self.port, self.console_port):
            eventually(partial(self.is_healthy, port), f"health; {self.log.read_text()}")

    def recorders(self) -> list[dict]:
        token = (self.data_dir / "console-token").read_text().strip()
        status, body = self.get(self.console_port, "/api/status", token)
        return json.loads(body)["recorders"] if status == 200 else []

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(45)


def is_removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.fixture
def serve():
    # Not pytest's own folder, which is closed to others: as root the cluster would go elsewhere, and stay there.
    folder = Path(tempfile.mkdtemp(prefix="verbatim-serve-"))
    folder.chmod(0o711)
    made = []

    def make(*verb: str, **settings: str) -> Serve:
        made.append(Serve(folder / "data", *verb, **settings))
        return made[-1]

    yield make
    for each in made:
        finish(each.process)
    # A database that stops on its own still takes its files away.
    eventually(lambda: is_removed(folder), "the end of all files")


def test_serve_starts_from_nothing_records_stops_cleanly_and_starts_again(serve):
    began = time.monotonic()
    first = serve()
    first.wait_until_healthy()
    assert time.monotonic() - began < START_SECONDS
    assert eventually(first.recorders, f"a recorder; {first.log.read_text()}")
    assert set(children_of(first.process.pid)) == CHILDREN
    below = descendants_of(first.process.pid)
    assert first.stop() == 0
    assert not any(is_running(pid) for pid in below)
    token = (first.data_dir / "console-token").read_text()
    second = serve()
    second.wait_until_healthy()
    assert eventually(second.recorders, "the recorder of the second start")
    assert (second.data_dir / "console-token").read_text() == token
    assert second.stop(signal.SIGINT) == 0
    assert " error " not in first.log.read_text()


def test_every_child_that_is_killed_comes_back(serve):
    run = serve()
    run.wait_until_healthy()
    eventually(run.recorders, "a recorder")
    before = children_of(run.process.pid)
    assert set(before) == CHILDREN
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(is_running(pid) for pid in before.values()), "the end of all children")
    eventually(lambda: set(children_of(run.process.pid)) == CHILDREN, "all children again")
    run.wait_until_healthy()
    eventually(run.recorders, "the database again")
    assert run.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signal")
def test_a_killed_supervisor_leaves_no_process_and_no_port(serve):
    run = serve()
    run.wait_until_healthy()
    eventually(run.recorders, "a recorder")
    below = descendants_of(run.process.pid)
    assert len(below) > len(CHILDREN)
    run.process.kill()
    run.process.wait()
    eventually(lambda: not any(is_running(pid) for pid in below), "the end of all processes")
    assert is_free(run.port)
    assert is_free(run.console_port)


def test_the_proxy_stands_while_the_database_is_away(serve):
    run = serve(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    run.wait_until_healthy()
    assert run.get(run.port, "/readyz")[0] == 200
    assert set(children_of(run.process.pid)) == CHILDREN - {"vb-database"}
    assert run.stop() == 0


def test_the_proxy_alone_has_no_database_driver_in_it(serve):
    run = serve("proxy", WORKERS="2")
    eventually(lambda: run.is_healthy(run.port), f"health; {run.log.read_text()}")
    children = children_of(run.process.pid)
    assert set(children) == {"vb-proxy-0", "vb-proxy-1"}
    for pid in children.values():
        libraries = Path(f"/proc/{pid}/maps").read_text()
        assert "uvloop" in libraries
        assert "asyncpg" not in libraries
    assert not (run.data_dir / "console-token").exists()
    assert run.stop() == 0


def test_the_parts_alone_make_one_whole(serve, database_url):
    proxy = serve("proxy")
    record = serve("record", DATABASE_URL=database_url)
    console = serve("console", DATABASE_URL=database_url)
    eventually(lambda: proxy.is_healthy(proxy.port), proxy.log.read_text())
    assert eventually(console.recorders, f"the recorder; {record.log.read_text()}")
    for run in (proxy, record, console):
        assert run.stop() == 0


def test_the_start_says_what_runs_where_in_plain_lines(serve):
    run = serve()
    run.wait_until_healthy()
    assert run.stop() == 0
    assert run.process.stdout is not None
    said = run.process.stdout.read()
    assert f"export OPENAI_BASE_URL=http://127.0.0.1:{run.port}/v1" in said
    assert f"http://127.0.0.1:{run.console_port}" in said
    assert "https://api.openai.com" in said
    assert str(run.data_dir) in said
    assert "verbatim token" in said
    assert "\x1b" not in said


def test_a_port_that_is_taken_stops_the_start_with_one_line(serve):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        for name in ("PORT", "CONSOLE_PORT"):
            run = serve(**{name: taken})
            assert run.process.wait(15) == 2
            last = run.log.read_text().splitlines()[-1]
            assert f"VERBATIM_{name}={taken} on 127.0.0.1 is taken by another program" in last
    assert run.log.read_text().count("\n") == 2


def test_metrics_of_all_workers_are_one_text(serve):
    run = serve("proxy", WORKERS="2")
    eventually(lambda: run.is_healthy(run.port), "health")
    status, body = run.get(run.port, "/metrics")
    assert status == 200
    assert b"verbatim_exchanges_accepted_total 0" in body
    assert run.stop() == 0


def test_doctor_finds_a_running_serve_well(serve):
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        settings = {"UPSTREAM": f"http://127.0.0.1:{upstream.getsockname()[1]}"}
        run = serve(**settings)
        run.wait_until_healthy()
        eventually(run.recorders, "a recorder")
        environ = {"DATA_DIR": run.data_dir, "PORT": run.port, "CONSOLE_PORT": run.console_port, **settings}
        doctor = start("-m", "app", "doctor", environ={f"VERBATIM_{k}": str(v) for k, v in environ.items()})
        output, errors = doctor.communicate(timeout=20)
    assert (doctor.returncode, errors) == (0, ""), output
    assert output.count("runs on") == 2
    assert "ok    database" in output
    assert run.stop() == 0
