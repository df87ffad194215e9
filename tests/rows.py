"""Rows of the campaign: each test says how often it does its fault in `make test` and in `make soak`.

`@pytest.mark.row("K1", ci=3, soak=200)`: with SOAK set it runs 200 times and tells how far it is; without, 3 times,
and with ci=0 not at all. `seconds` is the most that a soak may take. SOAK_ROW runs the tests of one row alone,
SOAK_TIMES another number of faults. SOAK_RESULTS is a file for figures, a line of JSON a test.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CI_SECONDS = 180
SOAK_SECONDS = 1500
SAY_SECONDS = 10.0


class Row:
    """One row that is being run."""

    def __init__(self, name: str, times: int, test: str) -> None:
        self.name = name
        self.times = times
        self._test = test
        self._said_seconds = 0.0
        self._figures: dict[str, object] = {}

    def turns(self) -> Iterator[int]:
        """Counts the faults, and says how far it is."""
        for number in range(self.times):
            now = time.monotonic()
            if now - self._said_seconds > SAY_SECONDS:
                self._said_seconds = now
                print(f"\n{self.name} {number} of {self.times} ({self._test})", flush=True)
            yield number

    def tell(self, **figures: object) -> None:
        """Figures for the table."""
        self._figures.update(figures)

    def keep(self) -> None:
        """Writes them down."""
        if path := os.environ.get("SOAK_RESULTS"):
            figures = {name: str(value) for name, value in self._figures.items()}
            line = {"row": self.name, "test": self._test, "times": self.times, "figures": figures}
            with Path(path).open("a") as file:
                file.write(json.dumps(line) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "row(name, ci, soak, seconds): a row of the fault campaign, how often, how long"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = os.environ.get("SOAK_ROW")
    kept = []
    for item in items:
        marker = item.get_closest_marker("row")
        if marker is not None:
            if wanted and marker.args[0] != wanted:
                continue
            seconds = marker.kwargs.get("seconds", SOAK_SECONDS) if "SOAK" in os.environ else CI_SECONDS
            item.add_marker(pytest.mark.timeout(seconds))
            if not marker.kwargs["ci"]:
                item.add_marker(pytest.mark.slow)
        kept.append(item)
    items[:] = kept


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """The row of this test."""
    marker = request.node.get_closest_marker("row")
    times = int(os.environ.get("SOAK_TIMES", marker.kwargs["soak" if "SOAK" in os.environ else "ci"]))
    running = Row(marker.args[0], times, request.node.name)
    yield running
    running.keep()
