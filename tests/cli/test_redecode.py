"""`verbatim redecode` as a user runs it."""

from __future__ import annotations

import pytest

from app.store.database.pool import Pool
from app.store.writing.ingest import Ingest
from tests.cli.test_main import verbatim
from tests.postgres import PostgresServer
from tests.recorder.test_redecode import unread
from tests.store.conftest import RECORDER
from tests.store.talks import Clock, Talker


@pytest.fixture
async def with_exchange(database_url: str) -> str:
    """A database with an exchange that nobody could read."""
    pool = Pool(database_url)
    await Ingest(pool, RECORDER).deliver([unread(Talker(Clock()).says("Hello", "Hi"))])
    await pool.close()
    return database_url


def test_exchanges_are_read_again_and_what_changed_is_told(
    with_exchange: str, postgres_server: PostgresServer
) -> None:
    columns = "SELECT route, capture_status FROM exchanges"
    code, output, errors = verbatim(
        "redecode", "--since", "2026-11-01", "--dry-run", DATABASE_URL=with_exchange
    )
    assert (code, errors.strip()) == (0, "")
    assert "looked at 1 exchanges; 1 would change" in output
    assert postgres_server.psql(with_exchange, columns) == "other|unreadable"
    code, output, errors = verbatim("redecode", "--since", "2026-11-01", DATABASE_URL=with_exchange)
    assert "looked at 1 exchanges; 1 changed" in output
    assert "  conversation: 1" in output
    assert postgres_server.psql(with_exchange, columns) == "chat/completions|decoded"
