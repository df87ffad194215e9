"""The console's token: made once, for its owner alone."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from app.cli.console_token import console_token
from app.config import Settings
from app.errors import ConfigError


def test_the_token_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    token = console_token(settings)
    assert len(token) > 40
    assert console_token(settings) == token
    assert settings.console_token_file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(settings.data_dir) == ["console-token"]


def test_many_that_start_at_once_agree_on_one_token(tmp_path):
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: _token_in_a_process(settings), range(8)))
    assert len(set(made)) == 1
    assert made[0] == console_token(settings)


def _token_in_a_process(settings: Settings) -> str:
    from tests.cli.processes import start

    process = start("-m", "app", "token", environ={"VERBATIM_DATA_DIR": str(settings.data_dir)})
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    return output.strip()


def test_a_token_that_is_set_is_taken_and_leaves_no_file(tmp_path):
    settings = Settings(data_dir=tmp_path, console_token=SecretStr("given"))
    assert console_token(settings) == "given"
    assert os.listdir(tmp_path) == []


def test_an_empty_file_is_said_and_no_token(tmp_path):
    (tmp_path / "console-token").touch()
    with pytest.raises(ConfigError, match="is empty; remove the file"):
        console_token(Settings(data_dir=tmp_path))


def test_a_data_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be made"):
        console_token(Settings(data_dir=tmp_path / "file" / "data"))
