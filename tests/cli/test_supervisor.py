"""The supervisor: children come back, go in order, and never outlive it."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.cli.processes import eventually, finish, is_free, is_running, start

PROGRAM = str(Path(__file__).with_name("supervised.py"))


class Supervised:
    def __init__(self, directory: Path, *children: str) -> None:
        self.directory = directory
        (directory / "events").touch()
        self.process = start(PROGRAM, str(directory), *children)

    def events(self) -> list[str]:
        return (self.directory / "events").read_text().splitlines()

    def pids(self, name: str) -> list[int]:
        return [int(event.split()[2]) for event in self.events() if event.startswith(f"{name} start")]

    def started(self, name: str, times: int = 1) -> int:
        eventually(lambda: len(self.pids(name)) >= times, f"start {times} of {name}")
        return self.pids(name)[times - 1]

    def port(self) -> int:
        return int(
            eventually(lambda: [e for e in self.events() if e.startswith("port")], "the port")[0].split()[1]
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


@pytest.fixture
def supervised(tmp_path):
    made = []

    def make(*children: str) -> Supervised:
        made.append(Supervised(tmp_path, *children))
        return made[-1]

    yield make
    for each in made:
        finish(each.process)


def test_children_stop_in_their_order_and_the_exit_code_is_0(supervised):
    run = supervised("database:good:3", "proxy-0:good:0", "proxy-1:good:0", "recorder:good:1")
    for name in ("database", "proxy-0", "proxy-1", "recorder"):
        run.started(name)
    assert run.stop() == 0
    stops = [event.split()[0] for event in run.events() if event.endswith("stop")]
    assert sorted(stops[:2]) == ["proxy-0", "proxy-1"]
    assert stops[2:] == ["recorder", "database"]


def test_ctrl_c_stops_in_the_same_order(supervised):
    run = supervised("a:good:1", "b:good:0")
    run.started("a"), run.started("b")
    assert run.stop(signal.SIGINT) == 0
    assert [event for event in run.events() if event.endswith("stop")] == ["b stop", "a stop"]


def test_a_killed_child_is_started_again_and_the_others_go_on(supervised):
    run = supervised("a:good:0", "b:good:0")
    first, other = run.started("a"), run.started("b")
    os.kill(first, signal.SIGKILL)
    second = run.started("a", times=2)
    assert second != first
    assert is_running(other)
    assert len(run.pids("b")) == 1
    assert run.stop() == 0


def test_a_child_that_keeps_crashing_is_started_ever_later_and_harms_no_other(supervised):
    run = supervised("bad:crash:0", "good:good:0")
    run.started("bad", times=4)
    assert len(run.pids("good")) == 1
    run.stop()
    log = run.process.communicate()[1]
    delays = [
        line.partition("restart_seconds=")[2] for line in log.splitlines() if "child_ended child=bad" in line
    ]
    assert delays[:3] == ["0.1", "0.2", "0.4"]
    assert "RuntimeError: as told" in log


def test_a_child_that_does_not_heed_is_killed_and_the_exit_code_says_so(supervised):
    run = supervised("deaf:deaf:0", "good:good:1")
    run.started("deaf"), run.started("good")
    assert run.stop() == 1
    assert run.events()[-1] == "good stop"


def test_a_second_signal_ends_everything_at_once(supervised):
    run = supervised("deaf:deaf:0", "later:good:1")
    pids = [run.started("deaf"), run.started("later")]
    run.process.send_signal(signal.SIGTERM)
    assert "stopping" in run.process.stderr.readline()
    assert run.stop() == 1
    assert "later stop" not in run.events()
    assert not any(is_running(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signal")
def test_a_killed_supervisor_leaves_no_child_and_no_port(supervised):
    run = supervised("a:listen:0", "b:good:1")
    pids = [run.started("a"), run.started("b")]
    port = run.port()
    assert not is_free(port)
    run.process.kill()
    run.process.wait()
    eventually(lambda: not any(is_running(pid) for pid in pids), "the end of all children")
    assert is_free(port)


def test_a_connection_made_while_the_child_is_dead_is_answered_by_the_next(supervised):
    run = supervised("a:listen:0")
    first = run.started("a")
    port = run.port()
    os.kill(first, signal.SIGKILL)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        assert int(connection.recv(100)) == run.started("a", times=2)


def test_the_port_is_free_as_soon_as_the_stop_begins(supervised):
    run = supervised("deaf:deaf:1", "a:listen:0")
    run.started("a"), run.started("deaf")
    run.process.send_signal(signal.SIGTERM)
    eventually(lambda: is_free(run.port()), "the port")
    assert run.process.wait(15) == 1
