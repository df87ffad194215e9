"""The store's size: agent runs take an eighth of what they sent, and late turns no more than early ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.growth import grow


@pytest.mark.timeout(120)
async def test_agent_runs_take_an_eighth_of_what_they_sent_and_grow_linearly(
    tmp_path: Path, database_url: str
) -> None:
    growth = await grow(tmp_path / "journal", database_url, runs=12, turns=50, at_once=10)
    assert growth.exchanges == 600
    assert growth.differing == 0
    assert growth.ratio > 8
    assert growth.added(41, 50) < 1.2 * growth.added(11, 20)
