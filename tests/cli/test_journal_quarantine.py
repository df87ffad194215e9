"""`verbatim journal quarantine` as a user runs it, over exchanges that a real PostgreSQL refused."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from app.recorder.process import RecorderOptions
from tests.cli.test_journal_verify import verify
from tests.cli.test_main import verbatim
from tests.postgres import PostgresServer
from tests.recorder.conftest import recording, until
from tests.recorder.journals import Exchange, Rows, open_writer, write_exchange

REFUSE = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '22000'; END $$",
    "CREATE TRIGGER refuse BEFORE INSERT ON exchanges FOR EACH ROW WHEN (NEW.method = 'PATCH')"
    " EXECUTE FUNCTION refuse()",
)
ADMIT = "DROP TRIGGER refuse ON exchanges"
STEERING = "/v1/\x1b]0;x\x07"


@pytest.fixture
async def refused(tmp_path: Path, database_url: str, postgres_server: PostgresServer) -> list[Exchange]:
    """Three of six exchanges are in quarantine, the last of them without its end."""
    postgres_server.psql(database_url, *REFUSE)
    folder = tmp_path / "journal"
    writer = open_writer(folder)
    exchanges = [
        write_exchange(writer, method="PATCH" if each % 2 else "POST", target=STEERING.encode())
        for each in range(5)
    ]
    exchanges.append(Exchange(writer, method="PATCH"))
    exchanges[-1].ask(b"{}")
    writer.close()
    async with recording(RecorderOptions(folder, database_url, "host")) as status:
        await until(lambda: _is(status.quarantined == 3))
    return exchanges


async def _is(met: bool) -> bool:
    return met


async def record_again(data_dir: Path, rows: Rows, recorded: int) -> None:
    """A recorder runs until there are so many rows and the journal is empty."""
    async with recording(RecorderOptions(data_dir / "journal", rows.url, "host")):

        async def is_done() -> bool:
            return await rows.count() == recorded and not list((data_dir / "journal").glob("*.seg"))

        await until(is_done)


def quarantine(data_dir: Path, *arguments: str) -> tuple[int, str, str]:
    return verbatim("journal", "quarantine", *arguments, DATA_DIR=str(data_dir))


def text_of(exchange: Exchange) -> str:
    return str(uuid.UUID(bytes=exchange.id))


async def test_what_postgresql_refused_is_recorded_after_a_retry_and_only_once(
    refused: list[Exchange], tmp_path: Path, database_url: str, postgres_server: PostgresServer
) -> None:
    rows = Rows(database_url)
    await rows.check_recorded(refused[0:5:2])
    postgres_server.psql(database_url, ADMIT)
    code, output, _ = await asyncio.to_thread(quarantine, tmp_path, "retry", text_of(refused[1]))
    assert (code, output.split()[0]) == (0, "1")
    await record_again(tmp_path, rows, 4)
    code, output, _ = await asyncio.to_thread(quarantine, tmp_path, "retry", "--all")
    assert (code, output.split()[0]) == (0, "2")
    code, output, _ = await asyncio.to_thread(quarantine, tmp_path, "retry", "--all")
    assert (code, output.split()[0]) == (0, "0")
    await record_again(tmp_path, rows, 6)
    await rows.check_recorded(refused)
    assert await rows.value(
        "SELECT outcome FROM exchanges WHERE id = $1", uuid.UUID(bytes=refused[5].id)
    ) == ("proxy_crashed")
    code, output = await asyncio.to_thread(verify, tmp_path, database_url)
    assert code == 0, output
    assert "= recorded 3 + quarantined 3" in output
    assert "retried         accepted 3 = recorded 3" in output


async def test_an_exchange_that_is_refused_again_is_set_aside_again(
    refused: list[Exchange], tmp_path: Path, database_url: str, postgres_server: PostgresServer
) -> None:
    for _ in range(2):
        assert (await asyncio.to_thread(quarantine, tmp_path, "retry", "--all"))[0] == 0
        assert list((tmp_path / "journal" / "quarantine").iterdir()) == []
        await record_again(tmp_path, Rows(database_url), 3)
        names = {each.name for each in (tmp_path / "journal" / "quarantine").iterdir()}
        assert names == {f"{text_of(each)}.frames" for each in refused[1::2]}
    postgres_server.psql(database_url, ADMIT)
    assert (await asyncio.to_thread(quarantine, tmp_path, "retry", "--all"))[0] == 0
    await record_again(tmp_path, Rows(database_url), 6)
    await Rows(database_url).check_recorded(refused)


async def test_a_recorder_that_runs_takes_up_what_is_retried(
    refused: list[Exchange], tmp_path: Path, database_url: str, postgres_server: PostgresServer
) -> None:
    rows = Rows(database_url)
    postgres_server.psql(database_url, ADMIT)
    async with recording(RecorderOptions(tmp_path / "journal", database_url, "host")):
        for number, exchange in enumerate(refused[1::2]):
            assert (await asyncio.to_thread(quarantine, tmp_path, "retry", text_of(exchange)))[0] == 0

            async def is_there(wanted: int = 4 + number) -> bool:
                return await rows.count() == wanted

            await until(is_there)
    await rows.check_recorded(refused)


async def test_the_quarantine_is_listed_and_shown_without_bodies_or_steering(
    refused: list[Exchange], tmp_path: Path
) -> None:
    (tmp_path / "journal" / "quarantine" / "s-00000000-0-00000000000000000001.seg").write_bytes(b"no segment")
    code, output, _ = await asyncio.to_thread(quarantine, tmp_path, "list")
    assert code == 0
    assert len(output.splitlines()) == 5
    assert all(text_of(each) in output for each in refused[1::2])
    assert "unreadable segment s-00000000-0" in output
    code, output, _ = await asyncio.to_thread(quarantine, tmp_path, "show", text_of(refused[1]))
    assert code == 0
    assert "PATCH /v1/" in output and "completed" in output and "200" in output
    assert "\x1b" not in output and "\x07" not in output
    assert refused[1].answer.decode() not in output
    code, output, _ = await asyncio.to_thread(quarantine, tmp_path, "show", text_of(refused[5]))
    assert code == 0 and "proxy_crashed" in output


@pytest.mark.parametrize("verb", ["show", "retry"])
def test_an_exchange_that_is_not_in_quarantine_is_one_line_and_exit_code_1(verb: str, tmp_path: Path) -> None:
    code, output, errors = quarantine(tmp_path, verb, str(uuid.UUID(int=1)))
    assert (code, output, errors.count("\n")) == (1, "", 1)
    assert "is not in" in errors


def test_an_empty_quarantine_is_said_and_retried_without_harm(tmp_path: Path) -> None:
    assert quarantine(tmp_path, "list") == (0, "", "nothing is in quarantine\n")
    assert quarantine(tmp_path, "retry", "--all")[0] == 0


@pytest.mark.parametrize("arguments", [("retry",), ("retry", "x", "--all"), ("show", "../../etc")])
def test_wrong_words_are_refused_with_exit_code_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert quarantine(tmp_path, *arguments)[0] == 2
