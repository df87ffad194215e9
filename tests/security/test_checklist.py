"""docs/security.md: no requirement is missing, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")
REQUIREMENTS = 50
EXCUSES = ("Comes later", "Does not apply")


def lines() -> dict[int, tuple[str, str]]:
    """What each line says, and by what it holds."""
    found = re.findall(r"^\| R(\d+) \| (.+?) \| (.*?)\|$", PAGE, re.MULTILINE)
    assert len(found) == len({number for number, _, _ in found})
    return {int(number): (told, held) for number, told, held in found}


def test_every_requirement_has_its_line():
    assert sorted(lines()) == list(range(1, REQUIREMENTS + 1))


def test_a_line_names_its_tests_or_says_why_there_are_none():
    for number, (told, held) in lines().items():
        assert held.strip() or told.startswith(EXCUSES), number


def test_every_test_that_is_named_is_there():
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) >= 60
    for file, name in named:
        tree = ast.parse((TESTS / file).read_text())
        tests = {each.name for each in tree.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))}
        assert name in tests, f"{file}::{name}"
    assert len(re.findall(r"\.py::", PAGE)) == len(named)
