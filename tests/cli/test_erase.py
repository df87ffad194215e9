"""`verbatim erase`: counts, asks, waits, and prints a receipt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid

import pytest

from app.store.database.pool import Pool
from app.store.erasing.running import Eraser
from app.telemetry.tasks import spawn
from tests.api.conftest import running_console
from tests.cli.asked import on_terminal, verbatim
from tests.store.samples import talk

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def console(database_url):
    async with running_console(database_url) as running:
        yield running


@contextlib.asynccontextmanager
async def erasing(url: str):
    """What a recorder does meanwhile."""

    async def work() -> None:
        pool = Pool(url)
        try:
            while True:
                await Eraser(pool).run_once()
                await asyncio.sleep(0.1)
        finally:
            await pool.close()

    task = spawn(work(), name="eraser")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_user_is_erased_and_the_receipt_tells_what_went(console, database_url):
    await console.ingest.deliver([talk(b"mine", b"yes", user="ann"), talk(b"yours", b"yes", user="ben")])
    counted = await verbatim(console.url, "erase", "--user", "ann", "--dry-run", "--table")
    assert counted.text.startswith("1 exchanges in 0 conversations, 7 B of bodies, of user ann in project")
    refused = await verbatim(console.url, "erase", "--user", "ann")
    assert (refused.code, "--yes" in refused.errors) == (2, True)
    assert len(await console.ids()) == 2
    async with erasing(database_url):
        done = await verbatim(console.url, "erase", "--user", "ann", "--yes")
        assert done.code == 0, done.errors
        receipt = json.loads(done.output)
        assert (receipt["status"], receipt["counts"]["exchanges"]) == ("done", 1)
        shown = await on_terminal(console.url, "erase", "--receipt", receipt["id"])
    assert "1 exchanges" in shown and "status    done" in shown
    assert "ann" not in shown
    assert len(await console.ids()) == 1


async def test_what_is_not_waited_for_is_told_at_once(console):
    made = talk(b"mine", b"yes")
    await console.ingest.deliver([made])
    exchange_id = str(uuid.UUID(bytes=made.id))
    done = await verbatim(console.url, "erase", "--exchange", exchange_id, "--yes", "--no-wait", "--table")
    assert done.code == 0, done.errors
    assert "status    erasing" in done.text
    wrong = await verbatim(console.url, "erase", "--receipt", "none", "--user", "ann")
    assert wrong.code == 2
    nothing = await verbatim(console.url, "erase", "--yes")
    assert nothing.code == 1 and "takes one of user, key, conversation, exchange" in nothing.errors
