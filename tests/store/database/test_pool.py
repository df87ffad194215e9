"""Connections: limits on every step, nothing doubtful is used again."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from app.errors import StoreMisconfiguredError, StoreUnavailableError
from app.store.database import pool as pool_module
from app.store.database.pool import Pool, split_url
from tests.recorder.postgres_proxy import gate


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql://u:p@h:1/d?sslmode=require", ("postgresql://u:p@h:1/d?sslmode=require", 100)),
        ("postgresql:///d?host=/s&statement_cache_size=0", ("postgresql:///d?host=%2Fs", 0)),
        ("postgres://h/d?statement_cache_size=7", ("postgres://h/d", 7)),
    ],
)
def test_the_statement_cache_is_set_in_the_url(url: str, wanted: tuple[str, int]) -> None:
    assert split_url(url) == wanted


@pytest.mark.parametrize("url", ["mysql://h/d", "h/d", "postgresql://h/d?statement_cache_size=x"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(StoreMisconfiguredError):
        split_url(url)


async def test_the_limits_hold_inside_a_transaction_and_end_with_it(database_url: str) -> None:
    pool = Pool(database_url, size=1)
    async with pool.transaction() as connection:
        assert await connection.fetchval("SHOW lock_timeout") == "5s"
        assert await connection.fetchval("SHOW statement_timeout") == "15s"
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    async with pool.transaction(readonly=True) as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") == pid
        assert await connection.fetchval("SHOW plan_cache_mode") == "force_custom_plan"
        assert await connection.fetchval("SHOW transaction_read_only") == "on"
    await pool.close()


async def test_a_statement_that_failed_is_rolled_back_and_its_connection_used_on(database_url: str) -> None:
    pool = Pool(database_url, size=1)
    async with pool.transaction() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    with pytest.raises(StoreMisconfiguredError):
        async with pool.transaction() as connection:
            await connection.execute("INSERT INTO projects (name) VALUES ('x')")
            await connection.execute("SELECT nothing")
    async with pool.transaction() as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") == pid
        assert await connection.fetchval("SELECT count(*) FROM projects") == 0
    await pool.close()


async def test_a_caller_who_fails_leaves_nothing_behind(database_url: str) -> None:
    pool = Pool(database_url, size=1)
    with pytest.raises(KeyError):
        async with pool.transaction() as connection:
            await connection.execute("INSERT INTO projects (name) VALUES ('x')")
            raise KeyError
    async with pool.transaction() as connection:
        assert await connection.fetchval("SELECT count(*) FROM projects") == 0
    await pool.close()


async def test_it_works_without_prepared_statements_as_behind_pgbouncer(database_url: str) -> None:
    pool = Pool(f"{database_url}&statement_cache_size=0")
    for _ in range(3):
        async with pool.transaction() as connection:
            assert await connection.fetchval("SELECT $1::text[]", ["a"]) == ["a"]
            assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
    await pool.close()


async def test_a_server_that_has_stopped_costs_a_time_limit_not_for_ever(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "COMMAND_SECONDS", 0.5)
    pool = Pool(database_url, size=1)
    async with pool.transaction() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            with pytest.raises(StoreUnavailableError):
                async with pool.transaction() as connection:
                    await connection.fetchval("SELECT 1")
            # The next one gets a new connection, while the old server still says nothing.
            async with pool.transaction() as connection:
                assert await connection.fetchval("SELECT 1") == 1
    finally:
        os.kill(pid, signal.SIGCONT)
    await pool.close()


async def test_a_server_that_is_not_there_is_unavailable(tmp_path_factory: pytest.TempPathFactory) -> None:
    pool = Pool(f"postgresql:///x?host={tmp_path_factory.mktemp('none')}&user=x")
    with pytest.raises(StoreUnavailableError):
        async with pool.transaction():
            raise AssertionError
    await pool.close()
    assert repr(pool).startswith("Pool(closed")


async def test_a_closed_pool_opens_again(database_url: str) -> None:
    pool = Pool(database_url)
    for _ in range(2):
        async with pool.transaction() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        await pool.close()


async def test_a_connection_that_is_cut_is_told_as_that(database_url: str) -> None:
    async with gate(database_url) as way:
        pool = Pool(way.url, size=1)
        way.swallow_answer_to = b"COMMIT"
        with pytest.raises(StoreUnavailableError) as caught:
            async with pool.transaction() as connection:
                await connection.execute("INSERT INTO projects (name) VALUES ('x')")
        assert "closed in the middle of operation" in str(caught.value)
        async with pool.transaction() as connection:
            assert await connection.fetchval("SELECT count(*) FROM projects") == 1
        await pool.close()
