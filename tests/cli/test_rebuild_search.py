"""`verbatim search rebuild` as a user runs it."""

from __future__ import annotations

import dataclasses

import pytest

from app.store.database.pool import Pool
from app.store.writing.ingest import Ingest
from tests.cli.test_main import verbatim
from tests.postgres import PostgresServer
from tests.recorder.test_redecode import unread
from tests.store.conftest import RECORDER
from tests.store.talks import Clock, Talker


@pytest.fixture
async def before_search(database_url: str) -> str:
    """A database with a conversation that was recorded by a Verbatim that did not search."""
    pool = Pool(database_url)
    client = Talker(Clock())
    client.says("What is a cat?", "An animal.")
    client.says("And a dog?", "Another one.")
    ingest = Ingest(pool, RECORDER)
    for each in client.records:
        made = unread(each)
        await ingest.deliver(
            [dataclasses.replace(made, route=each.route, capture_status="decoded", talk=each.talk)]
        )
    await pool.close()
    return database_url


def test_what_was_recorded_before_there_was_a_search_is_searched(
    before_search: str, postgres_server: PostgresServer
) -> None:
    texts = "SELECT folded FROM search_tail ORDER BY exchange_id, message"
    assert postgres_server.psql(before_search, texts) == ""
    code, output, errors = verbatim("search", "rebuild", DATABASE_URL=before_search)
    assert (code, errors.strip()) == (0, "")
    assert "looked at 2 exchanges; 2 were not searched and are now" in output
    assert postgres_server.psql(before_search, texts).splitlines() == [
        *("what is a cat?", "an animal.", "and a dog?", "another one."),
    ]
    code, output, _ = verbatim("search", "rebuild", DATABASE_URL=before_search)
    assert "2 exchanges; 0 were not searched" in output
