"""Runs rows of the fault campaign in full, and keeps what came of each."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from app.clock import utc_now
from tests.soak.page import Result, keep, read_results
from tests.soak.rows import ROWS, Row, row_named

ROOT = Path(__file__).resolve().parent.parent.parent
_COUNTS = re.compile(r"(\d+) (passed|failed|error)")


def main() -> int:
    """Exits with 1 where a row did not hold."""
    chosen = options().parse_args()
    if chosen.list:
        _print_rows()
        return 0
    rows = [_named(name) for name in chosen.rows] or list(ROWS)
    failed = [row.name for number, row in enumerate(rows, 1) if not _run(row, f"{number} of {len(rows)}")]
    if failed:
        print(f"soak: these did not hold: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def options() -> argparse.ArgumentParser:
    """What `scripts/soak` takes."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="K1, P4, ...; all where none is named (hours)")
    parser.add_argument("--list", action="store_true", help="the rows, and when each was last run")
    return parser


def _named(name: str) -> Row:
    row = row_named(name)
    if row is None:
        sys.exit(f"soak: there is no row {name}; scripts/soak --list names them")
    return row


def _print_rows() -> None:
    results = read_results()
    for row in ROWS:
        result = results.get(row.name)
        print(f"{row.name:3}  {result.date if result else 'not run':10}  {row.fault}: {row.wanted}")


def _run(row: Row, place: str) -> bool:
    """True where the row held."""
    print(f"soak: {row.name} ({place}): {row.fault}: {row.wanted}", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "told")
        passed, failed = _run_tests(row, told) if row.tests else (0, 0)
        figures = _figures(told)
        for command in row.commands:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            print(done.stdout, done.stderr, sep="\n", flush=True)
            passed, failed = (passed + 1, failed) if not done.returncode else (passed, failed + 1)
            figures += [line for line in done.stdout.splitlines() if line.strip()][-1:]
    date = utc_now().date().isoformat()
    keep(row.name, Result(date, round(time.monotonic() - begun), passed, failed, figures))
    print(f"soak: {row.name}: {passed} held, {failed} did not, {time.monotonic() - begun:.0f} s", flush=True)
    return bool(passed) and not failed


def _run_tests(row: Row, told: Path) -> tuple[int, int]:
    """How many tests passed and failed."""
    environ = {**os.environ, "SOAK": "1", "SOAK_ROW": row.name, "SOAK_RESULTS": str(told)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:xdist",
        "-q",
        "-s",
        "-m",
        "slow or not slow",
        *row.tests,
    ]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line if line.strip() else last
    counts = {word: int(number) for number, word in _COUNTS.findall(last)}
    broken = process.returncode not in (0, 1) and not counts.get("failed")
    return counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0) + broken


def _figures(told: Path) -> list[str]:
    """What the tests told, a line each."""
    lines = told.read_text().splitlines() if told.exists() else []
    kept = [json.loads(line) for line in lines]
    return [
        f"{each['times']} times; " + "; ".join(f"{name}: {text}" for name, text in each["figures"].items())
        for each in kept
    ]


if __name__ == "__main__":
    sys.exit(main())
