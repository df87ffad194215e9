"""`verbatim recost` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.store.database.pool import Pool
from app.store.writing.ingest import Ingest
from app.store.writing.record import Usage
from tests.cli.test_main import verbatim
from tests.postgres import PostgresServer
from tests.store.conftest import RECORDER
from tests.store.samples import record

PRICES = '[[prices]]\nmodel = "house"\ninput_tokens = 3\n'


@pytest.fixture
async def with_exchange(database_url: str) -> str:
    """A database with an exchange of a model that only the price file knows."""
    pool = Pool(database_url)
    usage = Usage('{"prompt_tokens": 7}', "reported", 7, cost_status="unknown_model")
    await Ingest(pool, RECORDER).deliver([record(model="house", usage=usage)])
    await pool.close()
    return database_url


def test_costs_are_worked_out_again_and_told(
    with_exchange: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    (tmp_path / "prices.toml").write_text(PRICES)
    environ = {"DATABASE_URL": with_exchange, "PRICES": str(tmp_path / "prices.toml")}
    code, output, errors = verbatim("recost", "--since", "2026-11-01", "--dry-run", **environ)
    assert (code, errors.strip()) == (0, "")
    assert "looked at 1 exchanges; 1 would change" in output
    assert "0 before, 0.000021 after (+0.000021)" in output
    assert postgres_server.psql(with_exchange, "SELECT cost FROM exchanges") == ""
    code, output, errors = verbatim(
        "recost", "--since", "2026-11-01T00:00:00Z", "--until", "2026-12-01", **environ
    )
    assert "looked at 1 exchanges; 1 changed" in output
    assert "house: 1 exchanges, 0 to 0.000021" in output
    assert postgres_server.psql(with_exchange, "SELECT cost, cost_status FROM exchanges") == "0.000021|priced"
    assert postgres_server.psql(with_exchange, "SELECT cost, unpriced FROM usage_hourly") == "0.000021|0"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "yesterday"], "--since yesterday: takes a time such as"),
        (["--since", "2026-01-01", "--until", "x"], "--until x: takes a time"),
    ],
)
def test_a_time_that_is_none_is_one_line(arguments: list[str], told: str) -> None:
    code, output, errors = verbatim("recost", *arguments)
    assert (code, output) == (2, "")
    assert told in errors
    assert errors.count("\n") == 1


def test_what_is_wrong_in_a_price_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('[[prices]]\nmodel = "a"\ninput = 3\n')
    code, _, errors = verbatim("serve", PRICES=str(tmp_path / "prices.toml"), DATA_DIR=str(tmp_path))
    assert code == 2
    assert "prices.toml, line 3: input: no such key" in errors
    assert errors.count("\n") == 1
    code, output, _ = verbatim("doctor", PRICES=str(tmp_path / "prices.toml"), DATA_DIR=str(tmp_path))
    assert code == 1
    assert "FAIL  settings" in output and "prices.toml, line 3: input: no such key" in output
