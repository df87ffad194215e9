"""No text from outside becomes SQL: statements stand in .sql files, and what is asked for is a parameter."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api.parameters import FilterParameters
from tests.store.samples import record
from tests.test_architecture import APP, sql_outside_store

CALLS = {"fetch", "fetchrow", "fetchval", "execute", "executemany", "prepare", "cursor", "within"}
COMPOSER = APP / "store" / "filters" / "conditions.py"
"""Puts conditions, which stand in filter.sql, into statements; and numbers of parameters."""
INJECTIONS = (
    "' OR 1=1 --",
    "'; DROP TABLE exchanges; --",
    "\\'; SELECT pg_sleep(9); --",
    "$1) OR (1=1",
    "/* and wanted */ OR true",
    "%' OR '%'='",
    "x'::text OR $$a$$=$$a$$",
)
PLACES: list[tuple[str, dict[str, str]]] = [
    ("/api/exchanges", {}),
    ("/api/conversations", {}),
    ("/api/stats", {"group_by": "model"}),
    ("/api/export", {"format": "csv", "messages": "false"}),
    ("/api/exchanges", {"count": "true"}),
]
OTHERS = ("tag.{}", "request.{}", "response.{}", "request.{}!", "sort", "order", "after")


def made_up(path: Path) -> Iterator[str]:
    """Calls whose statement is put together on the spot."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in CALLS and is_made_up(node.args[0]):
            yield f"{path}:{node.lineno}"


def is_made_up(argument: ast.expr) -> bool:
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute):
        return argument.func.attr in ("format", "replace", "join", "format_map")
    return isinstance(argument, (ast.JoinedStr, ast.BinOp)) or (
        isinstance(argument, ast.Constant) and isinstance(argument.value, str) and " " in argument.value
    )


def test_no_module_holds_sql_and_no_call_makes_its_statement_up():
    for path in sorted(APP.rglob("*.py")):
        assert not list(sql_outside_store(path)), path
        assert not list(made_up(path)), path


@pytest.mark.parametrize(
    "text",
    [
        'c.fetch(f"{x}")',
        'c.execute("a " + b)',
        'c.fetchval("%s" % b)',
        'c.fetch("{}".format(b))',
        "c.fetch(a.replace(b, c))",
    ],
)
def test_a_statement_that_is_made_up_is_found(text, tmp_path):
    (tmp_path / "broken.py").write_text(text)
    assert list(made_up(tmp_path / "broken.py"))


def test_conditions_alone_are_put_into_statements():
    [composer] = [path for path in (APP / "store").rglob("*.py") if "def composed" in path.read_text()]
    assert composer == COMPOSER


@pytest.mark.timeout(90)
async def test_no_parameter_is_taken_for_sql(console):
    await console.ingest.deliver([record() for _ in range(3)])
    every = await console.ids()
    assert len(every) == 3
    names = [*FilterParameters.model_fields, *OTHERS]
    assert len(names) >= 25
    asked = itertools.product(INJECTIONS, names)
    for (text, name), (place, fixed) in zip(asked, itertools.cycle(PLACES), strict=False):
        given = {**fixed, name.format(text) if "{}" in name else name: text}
        answer = await console.get(place, params=given)
        assert answer.status_code in (200, 400), (place, given, answer.text)
        if answer.status_code == 200 and name in FilterParameters.model_fields:
            assert not any(each in answer.text for each in every), (place, given)
    assert await console.ids() == every
