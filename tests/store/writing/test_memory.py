"""Memory: a large body passes through in slices, both ways."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent.parent


@pytest.mark.timeout(90)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells how much memory was used")
def test_a_body_of_200_mib_takes_a_few_slices_of_memory(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.writing.large_body", database_url, "200"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 60
