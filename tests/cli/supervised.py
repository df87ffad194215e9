"""A program for test_supervisor: a supervisor over children that do as they are told.

    supervised.py DIRECTORY NAME:BEHAVIOUR:STOP_ORDER…

Each child writes `NAME start PID` and, at SIGTERM, `NAME stop` to DIRECTORY/events. Behaviours: `good`, `deaf` (does
not heed SIGTERM), `crash` (ends at once), `listen` (answers connections on the supervisor's socket with its pid).
"""

import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

from app.cli.listeners import bind
from app.cli.supervisor import ChildSpec, Supervisor
from app.telemetry.logs import setup_logging


def note(directory: Path, text: str) -> None:
    with (directory / "events").open("a") as events:
        events.write(f"{text}\n")


def child(directory: Path, name: str, behaviour: str, sockets: list[socket.socket]) -> None:
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: None if behaviour == "deaf" else told.append(number))
    note(directory, f"{name} start {os.getpid()}")
    if behaviour == "crash":
        raise RuntimeError("as told")
    while not told:
        time.sleep(0.01)
        if behaviour == "listen":
            try:
                connection, _ = sockets[0].accept()
            except BlockingIOError:
                continue
            connection.send(str(os.getpid()).encode())
            connection.close()
    note(directory, f"{name} stop")


def main() -> int:
    directory = Path(sys.argv[1])
    sockets = bind("127.0.0.1", 0, "VERBATIM_")
    note(directory, f"port {sockets[0].getsockname()[1]}")
    setup_logging("info", "supervisor")
    specs = []
    for argument in sys.argv[2:]:
        name, behaviour, order = argument.split(":")
        specs.append(
            ChildSpec(
                name=name,
                main=partial(child, directory, name, behaviour, sockets),
                stop_order=int(order),
                grace_seconds=0.3,
                orphan_signal=signal.SIGTERM,
                sockets=sockets if behaviour == "listen" else (),
            )
        )
    return Supervisor(specs, "info").run()


if __name__ == "__main__":
    sys.exit(main())
