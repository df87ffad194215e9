"""`verbatim journal verify` as a user runs it, over what a real writer and a real recorder left."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from app.recorder.process import RecorderOptions
from tests.cli.test_main import verbatim
from tests.postgres import PostgresServer
from tests.recorder.conftest import recording
from tests.recorder.journals import Exchange, open_writer, write_exchange


@pytest.fixture
async def data_dir(tmp_path: Path, database_url: str) -> Path:
    """Several segments were let go, with 60 exchanges, of which 20 were not to be recorded; ten more wait."""
    folder = tmp_path / "journal"
    writer = open_writer(folder, segment_bytes=8_000)
    for _ in range(20):
        write_exchange(writer)
        write_exchange(writer)
        writer.skip("off")
        await asyncio.sleep(0.02)  # the writer's thread goes on to the next segment
    writer.close()
    async with recording(RecorderOptions(folder, database_url, "host")):
        pass
    writer = open_writer(folder)
    for _ in range(9):
        write_exchange(writer)
    Exchange(writer)
    writer.close()
    return tmp_path


def verify(data_dir: Path, url: str) -> tuple[int, str]:
    code, output, _ = verbatim("journal", "verify", DATABASE_URL=url, DATA_DIR=str(data_dir))
    return code, output


def test_what_was_accepted_is_recorded_off_or_pending(data_dir: Path, database_url: str) -> None:
    code, output = verify(data_dir, database_url)
    assert code == 0, output
    assert re.search(r"^ok .* accepted 60 = recorded 40 \+ off 20$", output, re.MULTILINE)
    assert re.search(r"^ok .* accepted 10 = pending 10$", output, re.MULTILINE)
    assert "2 writers balance" in output


def test_a_lost_account_is_told_with_its_numbers(
    data_dir: Path, database_url: str, postgres_server: PostgresServer
) -> None:
    taken = postgres_server.psql(
        database_url,
        "DELETE FROM segments WHERE first_accept_number = 0 RETURNING first_accept_number, last_accept_number",
    )
    last = int(taken.splitlines()[0].split("|")[1])
    code, output = verify(data_dir, database_url)
    assert last < 59, "all of it was in one segment"
    assert code == 1
    assert f"missing: 0-{last}\n" in output
    assert "1 of 2 writers do not balance" in output


def test_an_exchange_that_an_account_does_not_count_is_told(
    data_dir: Path, database_url: str, postgres_server: PostgresServer
) -> None:
    postgres_server.psql(
        database_url, "UPDATE segments SET recorded = recorded - 1 WHERE first_accept_number = 0"
    )
    code, output = verify(data_dir, database_url)
    assert code == 1
    assert "1 more are missing between the first and the last number" in output
