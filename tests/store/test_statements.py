"""Statements: every one is named, described and there."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.store import statements as module
from app.store.statements import Statements, statements

FILES = sorted((Path(module.__file__).parent / "sql").glob("*.sql"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_statement_is_named_and_described_in_a_sentence(path: Path) -> None:
    loaded = statements(path.stem)
    assert len(loaded) > 0
    headings = [line for line in path.read_text().splitlines() if line.startswith("-- ")]
    assert len(headings) == len(loaded)
    assert all(line.endswith(".") for line in headings)
    # The conditions of a filter are parts of statements.
    assert all(text.endswith(";") == (path.stem != "filter") for text in loaded.values())


@pytest.mark.parametrize(
    "text",
    ["SELECT 1;", "-- a: One.\nSELECT 1;\n-- a: Two.\nSELECT 2;", "-- a: One.\n", "-- no name\nSELECT 1;"],
)
def test_a_statement_without_a_name_or_a_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Statements(text, "x.sql")


def test_a_statement_is_its_text() -> None:
    loaded = Statements("\n-- a: One.\nSELECT 1;\n\n-- b: Two.\nSELECT\n2;\n", "x.sql")
    assert dict(loaded) == {"a": "SELECT 1;", "b": "SELECT\n2;"}
    assert repr(loaded) == "Statements(x.sql: a, b)"
