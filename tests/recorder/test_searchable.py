"""What a recorder takes can be searched at once, and is signed by a process that goes with it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from app.recorder import searchable
from app.recorder.process import RecorderOptions
from app.store.database.pool import Pool
from app.store.writing.ingest import Ingest
from tests.recorder.conftest import recording, until
from tests.recorder.journals import Rows, open_writer, write_exchange
from tests.store.conftest import RECORDER
from tests.store.samples import NOON_NS
from tests.store.search.corpus import SECOND_NS, exchanges


async def test_what_was_said_on_the_wire_is_in_the_search(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder)
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is the NEEDLE?"}]}
    message = {"role": "assistant", "content": "In the Haystack."}
    answer = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    for mode in ("full", "metadata"):
        write_exchange(writer, json.dumps(request).encode(), json.dumps(answer).encode(), mode=mode)
    writer.close()
    async with recording(RecorderOptions(folder, rows.url, "host")):
        pass
    texts = await rows.rows("SELECT folded FROM search_tail ORDER BY exchange_id, message")
    assert [row["folded"] for row in texts] == ["where is the needle?", "in the haystack."]


async def test_segments_are_closed_beside_a_recorder(
    folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searchable, "FIRST_LOOK_SECONDS", 0.0)
    pool = Pool(rows.url)
    months_ago_ns = NOON_NS - 100 * 86_400 * SECOND_NS
    await Ingest(pool, RECORDER).deliver(exchanges(random.Random(1), 400, months_ago_ns))
    await pool.close()

    async def is_closed() -> bool:
        return bool(await rows.value("SELECT count(*) FROM search_segments"))

    async with recording(RecorderOptions(folder, rows.url, "host")):
        await until(is_closed)
    assert await rows.value("SELECT count(*) FROM search_tail") == 0
    builders = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'verbatim search builder'"

    async def is_gone() -> bool:
        return await rows.value(builders) == 0

    await until(is_gone)
