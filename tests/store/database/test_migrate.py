"""The schema: made once by many, equal to schema.sql, guarded against writers that are too old."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import asyncpg
import pytest

from app.errors import StoreMisconfiguredError
from app.store.database import migrate
from app.telemetry.tasks import spawn
from tests.postgres import PostgresServer

COUNTS = (
    "exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens, "
    "duration_histogram, ttft_histogram"
)
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
ADD_DAY = f"""
INSERT INTO usage_daily (project_id, day, model, key, {COUNTS})
VALUES (1, DATE '2026-11-18', 'm', 'k', $1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
SCHEMA = Path(__file__).parent.parent.parent.parent / "migrations" / "schema.sql"


async def test_all_migrations_amount_to_the_schema_that_is_checked_in(
    postgres_server: PostgresServer, database_url: str, empty_database_url: str
) -> None:
    postgres_server.psql(empty_database_url, SCHEMA.read_text())
    written = postgres_server.dump_schema(empty_database_url)
    assert "CREATE TABLE public.exchanges" in written
    assert postgres_server.dump_schema(database_url) == written
    rows = "SELECT key, value FROM meta ORDER BY key"
    assert postgres_server.psql(database_url, rows) == postgres_server.psql(empty_database_url, rows)


async def test_four_sidecars_that_start_at_once_upgrade_once(empty_database_url: str) -> None:
    assert await migrate.current(empty_database_url) is None
    versions = await asyncio.gather(*(migrate.upgrade(empty_database_url) for _ in range(4)))
    assert set(versions) == {migrate.newest()}
    assert await migrate.current(empty_database_url) == migrate.newest()


async def test_an_upgrade_that_is_not_needed_changes_nothing(
    postgres_server: PostgresServer, database_url: str
) -> None:
    before = postgres_server.dump_schema(database_url)
    await migrate.upgrade(database_url)
    assert postgres_server.dump_schema(database_url) == before
    await migrate.check(database_url)


async def test_a_writer_that_is_too_old_is_told_to_update(
    postgres_server: PostgresServer, database_url: str
) -> None:
    postgres_server.psql(database_url, "UPDATE meta SET value = '99' WHERE key = 'min_writer'")
    with pytest.raises(StoreMisconfiguredError, match="update Verbatim"):
        await migrate.check(database_url)
    with pytest.raises(StoreMisconfiguredError, match="update Verbatim"):
        await migrate.upgrade(database_url)


async def test_a_database_of_a_newer_verbatim_that_still_takes_us_is_left_as_it_is(
    postgres_server: PostgresServer, database_url: str
) -> None:
    postgres_server.psql(database_url, "UPDATE alembic_version SET version_num = '9999'")
    await migrate.upgrade(database_url)
    assert await migrate.current(database_url) == "9999"


async def test_what_is_being_written_while_sums_are_made_is_in_them(empty_database_url: str) -> None:
    writer = await asyncpg.connect(empty_database_url)
    await writer.execute(migrate.script(None, "0009"))
    counts = (1, 2, 3, 4, 5, 6, 7, 8, 9)
    begun = writer.transaction()
    await begun.start()
    await writer.execute(ADD_DAY, *counts)
    upgrading = spawn(migrate.upgrade(empty_database_url), name="upgrade")
    while not upgrading.done() and not await writer.fetchval(WAITING):
        await asyncio.sleep(0.05)
    await begun.commit()
    await upgrading
    for table in ("usage_weekly", "usage_daily_models"):
        row = await writer.fetchrow(f"SELECT {COUNTS} FROM {table}")
        assert row is not None
        assert tuple(row) == counts
    assert await writer.fetchval("SELECT week FROM usage_weekly") == datetime.date(2026, 11, 16)
    await writer.close()


async def test_a_database_without_a_schema_is_not_written_to(empty_database_url: str) -> None:
    with pytest.raises(StoreMisconfiguredError, match="nothing"):
        await migrate.check(empty_database_url)


async def test_a_database_that_is_not_there_is_an_error_for_the_operator(empty_database_url: str) -> None:
    with pytest.raises(StoreMisconfiguredError, match="does not exist"):
        await migrate.upgrade(empty_database_url.replace("verbatim_test", "no_such"))
