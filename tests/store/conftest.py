"""The store's parts on a database of the test's own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from app.store.database.pool import Pool
from app.store.writing.ingest import Ingest

RECORDER = uuid.UUID("01890000-0000-7000-8000-000000000001")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = Pool(database_url)
    yield pool
    await pool.close()


@pytest.fixture
def ingest(pool: Pool) -> Ingest:
    return Ingest(pool, RECORDER)
