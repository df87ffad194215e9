"""The page about reliability tells what was kept of the last runs, of every row there is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.soak.page import BEGIN, END, Result, keep, read_results, with_table
from tests.soak.rows import ROWS, row_named

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
ROOT = DOCS.parent
WANTED = (
    [f"K{n}" for n in range(1, 8)]
    + [f"P{n}" for n in range(1, 9)]
    + [f"D{n}" for n in range(1, 6)]
    + [f"S{n}" for n in range(1, 7)]
    + ["C1", *(f"U{n}" for n in range(1, 8)), *(f"A{n}" for n in range(1, 9))]
    + [f"G{n}" for n in range(1, 5)]
    + ["L1", "L2"]
)


def test_every_row_is_there_and_is_held_by_something_that_exists() -> None:
    assert [row.name for row in ROWS] == WANTED
    for row in ROWS:
        assert row.tests or row.commands, row.name
        for path in [each.partition("::")[0] for each in row.tests] + [each[0] for each in row.commands]:
            assert (ROOT / path).exists(), f"{row.name}: {path}"
        for file, _, name in [each.partition("::") for each in row.tests]:
            assert not name or f"def {name}(" in (ROOT / file).read_text(), f"{row.name}: {file}::{name}"


def test_the_page_is_what_was_kept() -> None:
    page = (DOCS / "reliability.md").read_text()
    assert page == with_table(page, read_results())


def test_a_row_that_was_not_run_says_so_and_one_that_did_not_hold_too() -> None:
    page = with_table(
        f"before\n{BEGIN}\n{END}\nafter\n", {"K1": Result("2026-01-02", 150, 2, 1, ["3 times; a: b|c"])}
    )
    lines = page.splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    (first,) = [line for line in lines if line.startswith("| K1 ")]
    assert first.endswith("| 2026-01-02, 2 min | **no** (1 of 3 tests) | 3 times; a: b/c |")
    assert sum("| not run |" in line for line in lines) == len(ROWS) - 1


def test_rows_that_end_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "reliability.md").write_text(f"{BEGIN}\n{END}\n")
    names = [row.name for row in ROWS]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: keep(name, Result("2026-01-02", 1, 1, 0), tmp_path), names))
    assert list(read_results(tmp_path)) == names
    assert "not run" not in (tmp_path / "reliability.md").read_text()


def test_rows_are_named_as_they_like() -> None:
    assert row_named("k1") is ROWS[0]
    assert row_named("K99") is None
