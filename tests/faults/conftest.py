"""What the campaign's tests break, each for itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.injectors import OwnDatabase
from tests.rows import Row as Row


@pytest.fixture
def own_database() -> Iterator[OwnDatabase]:
    """A PostgreSQL that this test alone uses."""
    database = OwnDatabase()
    database.start()
    yield database
    database.remove()
