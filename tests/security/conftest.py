"""A console over a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.conftest import Console, running_console


@pytest.fixture
async def console(database_url: str) -> AsyncIterator[Console]:
    async with running_console(database_url) as running:
        yield running
