"""One parent, its children: started in order, started again when they die, stopped in order.

The parent has one thread and no event loop, so that it can fork at any time, and does nothing that can wait. A child
that dies ends no other child. A child that dies with the parent's death is the kernel's doing (process.py).
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from app.cli.process import die_with_parent, name_process
from app.clock import monotonic_ns
from app.errors import VerbatimError
from app.telemetry.logs import event_logger, setup_logging

FIRST_RESTART_SECONDS = 0.1
LAST_RESTART_SECONDS = 10.0
STABLE_SECONDS = 2.0
"""A child that ran this long is started again at once when it dies."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One kind of child and how it is treated."""

    name: str
    main: Callable[[], None]
    """Runs in the child; returns when SIGTERM has told it to stop."""
    stop_order: int
    """Children of a lower number are stopped, and gone, before those of a higher."""
    grace_seconds: float
    """How long it may take to stop before it is killed."""
    orphan_signal: signal.Signals
    """What it gets when the supervisor dies."""
    sockets: Sequence[socket.socket] = ()
    """What it listens on; other children close these, the supervisor does when the child is to stop."""


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    pid: int | None = None
    started_ns: int = 0
    delay_seconds: float = 0.0
    due_ns: int | None = 0
    """When it is to be started; None while it runs or shall not run again."""


@dataclass(slots=True)
class Supervisor:
    """Runs children until a signal says stop."""

    specs: Sequence[ChildSpec]
    log_level: str
    _children: list[_Child] = field(init=False)
    _stopping: int | None = field(init=False, default=None)
    """The stop order that is being stopped; None while all run."""
    _deadline_ns: int = field(init=False, default=0)
    _clean: bool = field(init=False, default=True)
    _private: tuple[int, ...] = field(init=False, default=())
    """File descriptors that only the supervisor may hold."""

    def __post_init__(self) -> None:
        self._children = [_Child(spec) for spec in self.specs]

    def run(self) -> int:
        """Starts all, returns when all have stopped: 0, or 1 where a child had to be killed or failed at its end."""
        # Children share what is there now; a collection in one of them must not touch (and so copy) every page.
        gc.collect()
        gc.freeze()
        parent_pipe = os.pipe()
        with _signal_pipe() as (signals, signals_end):
            self._private = (signals, signals_end, parent_pipe[1])
            while True:
                self._start_due(parent_pipe[0])
                for number in _wait(signals, self._seconds_to_next_event()):
                    self._on_signal(number)
                self._reap()
                if self._stopping is not None and self._has_stopped():
                    code = 0 if self._clean else 1
                    event_logger("supervisor").info("stopped", code=code)
                    return code

    def _start_due(self, parent_pipe: int) -> None:
        now_ns = monotonic_ns()
        for child in self._children:
            if child.due_ns is None or child.due_ns > now_ns:
                continue
            child.due_ns = None
            child.started_ns = now_ns
            try:
                child.pid = self._fork(child.spec, parent_pipe)
            except OSError as error:
                # No memory or no process left on this machine: as if it had died at once.
                event_logger("supervisor").error("fork_failed", child=child.spec.name, error=error.strerror)
                self._on_end(child, 1)

    def _fork(self, spec: ChildSpec, parent_pipe: int) -> int:
        parent_pid = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            # A session of its own: Ctrl-C in a terminal reaches the supervisor alone, which then stops all in order.
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (*_STOP_SIGNALS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for descriptor in self._private:
                os.close(descriptor)
            die_with_parent(parent_pid, parent_pipe, spec.orphan_signal)
            self._close_sockets_of_others(spec)
            name_process(f"vb-{spec.name}")
            setup_logging(self.log_level, spec.name)
            spec.main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        except VerbatimError as error:
            event_logger("process").error("process_failed", error=str(error))
            code = 1
        except BaseException:  # noqa: BLE001 - the root of a process: said, and the supervisor starts another
            event_logger("process").exception("process_failed")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _close_sockets_of_others(self, own: ChildSpec) -> None:
        for spec in self.specs:
            for listening in spec.sockets:
                if listening not in own.sockets:
                    listening.close()

    def _on_signal(self, number: int) -> None:
        if number not in _STOP_SIGNALS:
            return
        if self._stopping is None:
            event_logger("supervisor").info("stopping", signal=signal.Signals(number).name)
            self._stop_next(-1)
            return
        event_logger("supervisor").warning("stopping_now", signal=signal.Signals(number).name)
        self._clean = False
        for child in self._children:
            child.due_ns = None
            self._send(child, signal.SIGKILL)
        self._stopping = max(spec.stop_order for spec in self.specs)

    def _stop_next(self, after: int) -> bool:
        """Tells the children of the next stop order to stop; False where there is none."""
        orders = sorted({spec.stop_order for spec in self.specs if spec.stop_order > after})
        if not orders:
            return False
        self._stopping = orders[0]
        group = self._group(orders[0])
        self._deadline_ns = monotonic_ns() + int(max(child.spec.grace_seconds for child in group) * _SECOND)
        for child in group:
            child.due_ns = None
            for listening in child.spec.sockets:
                listening.close()
            self._send(child, signal.SIGTERM)
        return True

    def _has_stopped(self) -> bool:
        """Goes on with stopping; True when no child is left."""
        assert self._stopping is not None
        while not any(child.pid for child in self._group(self._stopping)):
            if not self._stop_next(self._stopping):
                return not any(child.pid for child in self._children)
        if monotonic_ns() >= self._deadline_ns:
            for child in self._group(self._stopping):
                if child.pid:
                    event_logger("supervisor").error("child_killed", child=child.spec.name)
                    self._clean = False
                self._send(child, signal.SIGKILL)
            self._deadline_ns = monotonic_ns() + _SECOND
        return False

    def _group(self, stop_order: int) -> list[_Child]:
        return [child for child in self._children if child.spec.stop_order == stop_order]

    def _send(self, child: _Child, number: signal.Signals) -> None:
        if child.pid:
            # It cannot be another's process: until we have reaped a child its id is not given away.
            os.kill(child.pid, number)

    def _reap(self) -> None:
        """Takes note of every process that ended; as process 1 of a container these can be strangers, too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._on_end(child, os.waitstatus_to_exitcode(status))

    def _on_end(self, child: _Child, code: int) -> None:
        child.pid = None
        if self._stopping is not None and child.spec.stop_order <= self._stopping:
            # Killed by SIGTERM: told to stop before it had come so far as to listen.
            self._clean = self._clean and code in (0, -signal.SIGTERM)
            return
        ran_seconds = (monotonic_ns() - child.started_ns) / _SECOND
        doubled = min(child.delay_seconds * 2, LAST_RESTART_SECONDS)
        child.delay_seconds = (
            FIRST_RESTART_SECONDS if ran_seconds >= STABLE_SECONDS else doubled or FIRST_RESTART_SECONDS
        )
        child.due_ns = monotonic_ns() + int(child.delay_seconds * _SECOND)
        event_logger("supervisor").error(
            "child_ended",
            child=child.spec.name,
            code=code,
            ran_seconds=round(ran_seconds, 3),
            restart_seconds=child.delay_seconds,
        )

    def _seconds_to_next_event(self) -> float | None:
        times = [child.due_ns for child in self._children if child.due_ns is not None]
        if self._stopping is not None:
            times.append(self._deadline_ns)
        return max(0.0, (min(times) - monotonic_ns()) / _SECOND) if times else None

    def __repr__(self) -> str:
        running = ", ".join(f"{child.spec.name}={child.pid}" for child in self._children)
        return f"<Supervisor {running} stopping={self._stopping}>"


@contextlib.contextmanager
def _signal_pipe() -> Iterator[tuple[int, int]]:
    """A pipe on which each signal arrives as one byte, so that none is missed between two looks."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    # A program under nohup keeps its SIGHUP ignored.
    wanted = (*_STOP_SIGNALS, signal.SIGCHLD)
    numbers = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, _ignore) for number in numbers}
    previous_fd = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading, writing
    finally:
        signal.set_wakeup_fd(previous_fd)
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _ignore(number: int, frame: object) -> None:
    """The byte in the pipe says it all."""


def _wait(signals: int, timeout_seconds: float | None) -> bytes:
    """The signals that came, one byte each; empty when the time is over."""
    ready, _, _ = select.select([signals], [], [], timeout_seconds)
    return os.read(signals, 4096) if ready else b""
