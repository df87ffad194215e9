"""app.telemetry.tasks: a background task is held, named, and never fails unseen."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from app.telemetry.tasks import running_tasks, spawn, task_failures


async def fail() -> None:
    raise ValueError("broken")


async def test_a_task_has_its_name_and_gives_its_value() -> None:
    async def answer() -> int:
        return 42

    task = spawn(answer(), name="answer")
    assert task.get_name() == "answer"
    assert await task == 42


async def test_a_task_that_nobody_holds_runs_to_its_end() -> None:
    # Nothing but the task's own frame refers to the future it waits for: without spawn, it is collected.
    reached: list[str] = []

    async def wait_unseen() -> None:
        await asyncio.Future()
        reached.append("never")

    held = weakref.ref(spawn(wait_unseen(), name="unseen"))
    await asyncio.sleep(0)
    gc.collect()
    task = held()
    assert task is not None and task in running_tasks()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task not in running_tasks()


async def test_a_failure_is_logged_and_counted_with_the_tasks_name(caplog: pytest.LogCaptureFixture) -> None:
    before = task_failures().get("doomed", 0)
    await asyncio.wait([spawn(fail(), name="doomed")])
    await asyncio.sleep(0)
    assert task_failures()["doomed"] == before + 1
    [record] = caplog.records
    assert record.getMessage() == "task_failed"
    fields = record.__dict__["fields"]
    assert fields["task"] == "doomed" and fields["error"] == "ValueError: broken"


async def test_a_failure_is_never_reported_as_unretrieved() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    await asyncio.wait([spawn(fail(), name="doomed")])
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []


async def test_a_cancelled_task_did_not_fail() -> None:
    task = spawn(asyncio.sleep(60), name="stopped")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert "stopped" not in task_failures()


async def test_who_awaits_a_failed_task_still_gets_the_error() -> None:
    with pytest.raises(ValueError, match="broken"):
        await spawn(fail(), name="doomed")
