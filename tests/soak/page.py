"""What the last run of each row gave: a file for programs, and the table of docs/reliability.md made from it."""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.rows import ROWS, Row

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
BEGIN, END = "<!-- rows: written by scripts/soak -->", "<!-- end of rows -->"


@dataclass(frozen=True, slots=True)
class Result:
    """One run of a row."""

    date: str
    seconds: int
    passed: int
    failed: int
    figures: list[str] = field(default_factory=list)


def read_results(docs: Path = DOCS) -> dict[str, Result]:
    """The last result of each row that was run."""
    path = docs / "reliability.json"
    if not path.exists():
        return {}
    return {name: Result(**kept) for name, kept in json.loads(path.read_text()).items()}


def keep(name: str, result: Result, docs: Path = DOCS) -> None:
    """Puts a result in the place of the row's last one; rows that are run at the same time lose nothing."""
    with (docs / "reliability.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        kept: dict[str, Any] = json.loads(file.read() or "{}")
        kept[name] = asdict(result)
        ordered = {row.name: kept[row.name] for row in ROWS if row.name in kept}
        file.truncate(0)
        file.write(json.dumps(ordered, indent=2) + "\n")
        file.flush()
        page = docs / "reliability.md"
        page.write_text(with_table(page.read_text(), {each: Result(**ordered[each]) for each in ordered}))


def with_table(page: str, results: dict[str, Result]) -> str:
    """The page with its table made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = ["| | fault | how often | last run | held | figures |", "|---|---|---|---|---|---|"]
    lines += [_line(row, results.get(row.name)) for row in ROWS]
    return before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + after


def _line(row: Row, result: Result | None) -> str:
    if result is None:
        return f"| {row.name} | {row.fault} | {row.wanted} | not run | | |"
    held = (
        "yes"
        if result.passed and not result.failed
        else f"**no** ({result.failed} of {result.passed + result.failed} tests)"
    )
    figures = "<br>".join(each.replace("|", "/") for each in result.figures) or f"{result.passed} tests"
    when = f"{result.date}, {_duration(result.seconds)}"
    return f"| {row.name} | {row.fault} | {row.wanted} | {when} | {held} | {figures} |"


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds / 60:.0f} min"
