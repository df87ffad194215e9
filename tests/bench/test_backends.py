"""What one application's backends of PostgreSQL take, those included that have come and gone."""

from __future__ import annotations

import asyncpg

from bench.backends import watched

WORK = "SELECT count(*) FROM generate_series(1, 2000000)"


async def _work(url: str, application: str, times: int = 1) -> None:
    connection = await asyncpg.connect(url, server_settings={"application_name": application})
    try:
        for _ in range(times):
            await connection.fetchval(WORK)
    finally:
        await connection.close()


async def test_only_one_applications_backends_count_and_stay_counted(database_url: str) -> None:
    async with watched(database_url, "ours") as ours, watched(database_url, "theirs") as theirs:
        await _work(database_url, "ours", times=4)
    assert ours.cpu_seconds > 0.05
    assert theirs.cpu_seconds == 0


async def test_what_was_taken_before_does_not_count(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"application_name": "ours"})
    try:
        for _ in range(4):
            await connection.fetchval(WORK)
        async with watched(database_url, "ours") as ours:
            pass
    finally:
        await connection.close()
    assert ours.cpu_seconds < 0.05
