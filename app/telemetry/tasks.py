"""Background tasks: `spawn` is the only place that makes one.

asyncio keeps no strong reference to a task and reports a failure only when the task is collected, if at
all. Here a task is held until it ends, has a name, and its failure is logged and counted at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

from app.telemetry.logs import event_logger

T = TypeVar("T")

# Both are per process by nature, as the event loop is.
_running: Final[set[asyncio.Task[Any]]] = set()
_failures: Final[Counter[str]] = Counter()


def spawn(coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Starts a task that is held, named, and reports its failure; it may be awaited or cancelled as any other.

    `name` is a fixed string that says what the task does: it becomes a metric's label.
    """
    task = asyncio.create_task(coro, name=name)
    _running.add(task)
    task.add_done_callback(_end)
    return task


def running_tasks() -> frozenset[asyncio.Task[Any]]:
    """The tasks that have not ended."""
    return frozenset(_running)


def task_failures() -> Mapping[str, int]:
    """How many tasks failed since the process started, by name; cancelled ones did not fail."""
    return dict(_failures)


def _end(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()  # also marks it as retrieved
    if error is not None:
        _failures[task.get_name()] += 1
        event_logger("tasks").exception("task_failed", error, task=task.get_name())
