"""The data directory: made for its owner, its disk tried."""

import os
from pathlib import Path

import pytest

from app.cli.data_dir import prepare_data_dir, try_disk
from app.errors import ConfigError, JournalError


def test_it_is_made_with_its_parents_and_nobody_else_can_list_it(tmp_path):
    prepare_data_dir(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o066 == 0
    prepare_data_dir(tmp_path / "a" / "b")


def test_the_trial_of_the_disk_leaves_nothing_behind(tmp_path):
    try_disk(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_file_system_that_takes_no_files_is_refused():
    with pytest.raises((ConfigError, JournalError), match="/proc"):
        try_disk(Path("/proc"))
