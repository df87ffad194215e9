"""What the linters do not check: sizes, where SQL may stand, the map, and what may be in a committed file.

Each rule is a function from files to complaints, so that it is tried on a file that breaks it, too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import app

REPOSITORY = Path(__file__).parent.parent
APP = REPOSITORY / "app"
FILE_MAX_LINES = 400
FUNCTION_MAX_LINES = 60
COMMITTED_FILE_MAX_BYTES = 1_000_000

SQL = re.compile(
    r"\b(SELECT\s+.+\s+FROM|SELECT\s+\w+\(|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|COPY\s+\w+.*\s(FROM|TO)|"
    r"(CREATE|ALTER|DROP|TRUNCATE)\s+(TABLE|INDEX|SCHEMA|DATABASE|ROLE|FUNCTION))\b",
    re.DOTALL,
)
# A path of somebody's machine; spelled so that this file does not complain of itself.
MACHINE_PATH = re.compile(
    r"(?<![\w.$}/-])/(?:work|root|opt/(?:wheels|pypi)|tmp/lab|home/(?!verbatim\b)\w+|Users/\w+)/"
)
INDEX_HOST = re.compile(
    r"--(?:extra-)?index-url|--find[-]links|files\.pythonhosted[.]|pypi\.(?:org|python)|/simple[/]"
)
LOCK_LINE = re.compile(
    r"(?:[a-z0-9-]+(?:\[[a-z0-9,-]+\])?==[\w.!+-]+(?: ; [^:/@]+)? \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?)"
)


def product_files() -> list[Path]:
    """Every module of app/, whether or not it is committed yet."""
    return sorted(APP.rglob("*.py"))


def files_of_tests() -> list[Path]:
    """Every module under tests/."""
    return sorted((REPOSITORY / "tests").rglob("*.py"))


def committed_files() -> list[Path]:
    """What git has, and is still there; nothing where this is no checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else []
    return [path for name in names if name and (path := REPOSITORY / name).is_file()]


def too_long(path: Path) -> Iterator[str]:
    text = path.read_text()
    if (lines := text.count("\n")) > FILE_MAX_LINES:
        yield f"{path}: {lines} lines; at most {FILE_MAX_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if (lines := node.end_lineno - first + 1) > FUNCTION_MAX_LINES:
                yield f"{path}:{node.lineno} {node.name}: {lines} lines; at most {FUNCTION_MAX_LINES}"


def sql_outside_store(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    documentation = {id(each) for each in _docstrings(tree)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and id(node) not in documentation:
            if SQL.search(_text(node)):
                yield f"{path}:{node.lineno} holds SQL; it belongs in app/store/sql"


def logic_in_init(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.Import() | ast.ImportFrom():
                continue
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case ast.Assign(targets=[ast.Name(id="__all__" | "__version__")]):
                continue
        yield f"{path}:{node.lineno} is more than docstring, imports, __all__ and __version__"


def type_ignores(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if re.search(r"#\s*type:\s*ignore", line):
            yield f"{path}:{number} silences the type checker"


def bare_tasks(path: Path) -> Iterator[str]:
    """Any call of something named create_task or ensure_future: a loop's and a group's too, which ruff cannot tell."""
    if path == APP / "telemetry" / "tasks.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and _called_name(node) in ("create_task", "ensure_future"):
            yield f"{path}:{node.lineno} makes a task; use app.telemetry.tasks.spawn"


def swallowed_exceptions(path: Path) -> Iterator[str]:
    """`except:` and `except Exception:` (or BaseException) whose whole body is pass."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and isinstance(node.body[0], ast.Pass) and len(node.body) == 1:
            if node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"):
                yield f"{path}:{node.lineno} swallows every exception"


def mocks(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{each.name}" for each in node.names]
        else:
            continue
        if any(re.match(r"(unittest\.mock|mock|pytest_mock|respx)(\.|$)", name) for name in names):
            yield f"{path}:{node.lineno} imports a mock; test with real parts"


def vague_names(path: Path) -> Iterator[str]:
    if path.stem in ("utils", "util", "helpers", "helper", "common", "manager", "base", "misc"):
        yield f"{path}: a name that says nothing"


def machine_traces(path: Path) -> Iterator[str]:
    text = path.read_bytes().decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATH.search(line):
            yield f"{path}:{number} names a path of one machine"
        if INDEX_HOST.search(line):
            yield f"{path}:{number} names a package index"


def too_heavy(path: Path) -> Iterator[str]:
    if (size := path.stat().st_size) > COMMITTED_FILE_MAX_BYTES:
        yield f"{path}: {size} bytes; at most {COMMITTED_FILE_MAX_BYTES}"


def unlocked_lines(path: Path) -> Iterator[str]:
    """A lock holds pinned versions and SHA-256 hashes, and so no URL, path, option or comment."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not LOCK_LINE.fullmatch(line):
            yield f"{path}:{number} is neither name==version nor a hash"


RULES: dict[str, tuple[Callable[[Path], Iterator[str]], Callable[[], list[Path]]]] = {
    "files and functions are short": (too_long, product_files),
    "SQL stands in the store alone": (
        sql_outside_store,
        lambda: [path for path in product_files() if APP / "store" not in path.parents],
    ),
    "init files hold no logic": (
        logic_in_init,
        lambda: [path for path in product_files() if path.name == "__init__.py"],
    ),
    "the type checker is never silenced": (type_ignores, product_files),
    "tasks are made by spawn alone": (bare_tasks, product_files),
    "no exception is swallowed": (swallowed_exceptions, product_files),
    "modules have telling names": (vague_names, product_files),
    "tests use real parts": (mocks, files_of_tests),
    "committed files name no machine and no index": (
        machine_traces,
        lambda: [path for path in committed_files() if path.suffix != ".lock"],
    ),
    "committed files are small": (too_heavy, committed_files),
    "locks hold versions and hashes alone": (
        unlocked_lines,
        lambda: [REPOSITORY / "requirements.lock", REPOSITORY / "requirements-dev.lock"],
    ),
}

LONG_FUNCTION = "def f():\n" + "    x = 1\n" * FUNCTION_MAX_LINES
BROKEN: dict[str, list[str]] = {
    "files and functions are short": ["x = 1\n" * (FILE_MAX_LINES + 1), LONG_FUNCTION],
    "SQL stands in the store alone": [
        "q = 'SELECT id FROM exchanges'",
        "q = f'DELETE FROM {x}'",
        "q = f'SELECT {x} FROM {y}'",
        "q = 'COPY pieces FROM STDIN'",
        "q = 'UPDATE exchanges SET x = 1'",
        "q = 'SELECT pg_advisory_lock(1)'",
    ],
    "init files hold no logic": ["LIMIT = 1", "def f(): ...", "if True:\n    import os"],
    "the type checker is never silenced": ["x = 1  # type: ignore[arg-type]"],
    "tasks are made by spawn alone": [
        "asyncio.create_task(f())",
        "loop.create_task(f())",
        "group.create_task(f())",
    ],
    "no exception is swallowed": [
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept Exception:\n    pass",
    ],
    "tests use real parts": [
        "from unittest import mock",
        "import unittest.mock",
        "from unittest.mock import patch",
    ],
    "committed files name no machine and no index": [
        "cd /" + "work/main",
        'path = "/' + 'root/x"',
        "pip install --" + "index-url x",
        "https://pypi" + ".org",
    ],
    "locks hold versions and hashes alone": [
        "--" + "index-url x",
        "fastapi @ file:" + "///x",
        "fastapi==1 \\\n    --hash=md5:00",
        "# via x",
        "-e .",
    ],
}


@pytest.mark.parametrize("rule", RULES)
def test_every_file_keeps_the_rule(rule: str) -> None:
    check, files = RULES[rule]
    complaints = [complaint for path in files() for complaint in check(path)]
    assert not complaints, "\n".join(each.replace(f"{REPOSITORY}/", "") for each in complaints)


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in BROKEN.items() for text in texts])
def test_a_file_that_breaks_the_rule_is_found(rule: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    assert list(RULES[rule][0](path))


def test_vague_and_heavy_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "utils.py").write_bytes(b"#" * (COMMITTED_FILE_MAX_BYTES + 1))
    assert list(vague_names(tmp_path / "utils.py"))
    assert list(too_heavy(tmp_path / "utils.py"))


def test_every_part_of_app_is_on_the_map() -> None:
    assert off_the_map(app.__doc__ or "") == []


def test_a_part_that_is_not_on_the_map_is_found() -> None:
    assert "telemetry" in off_the_map("proxy/ and journal/")
    assert "clock" in off_the_map("telemetry/")


def off_the_map(text: str) -> list[str]:
    """Packages and modules that have neither a line `name/ …` nor a `name` in the text."""
    parts = {path.parent.name for path in APP.glob("*/*.py")} | {path.stem for path in APP.glob("*.py")}
    lines = re.sub(r"[^\n]*[│▶─][^\n]*", "", text)  # the drawing is not the map
    return sorted(
        part
        for part in parts - {"__init__", "__main__"}
        if f"`{part}`" not in lines and not re.search(rf"^\s+{part}/\s", lines, re.MULTILINE)
    )


def test_the_import_contracts_cover_what_there_is() -> None:
    assert (
        outside_the_contracts(import_contracts(), {path.stem for path in (APP / "journal").glob("*.py")})
        == set()
    )


def test_a_module_outside_the_contracts_is_found() -> None:
    assert outside_the_contracts(import_contracts(), {"frame", "stray"}) == {"app.journal.stray"}


def import_contracts() -> dict[str, dict[str, list[str]]]:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    return {each["name"]: each for each in settings["tool"]["importlinter"]["contracts"]}


def outside_the_contracts(contracts: dict[str, dict[str, list[str]]], journal: set[str]) -> set[str]:
    """Journal modules and optional packages that no contract names yet, though they exist."""
    readers = set(contracts["Readers of the record never touch the journal"]["source_modules"])
    kept_away = set(contracts["The request path never waits for the database"]["forbidden_modules"])
    diskless = set(contracts["One module touches the disk"]["source_modules"])
    wanted = {f"app.journal.{name}" for name in journal - {"__init__", "disk"}} - diskless
    wanted |= {f"app.{name}" for name in ("ui", "archive") if (APP / name).is_dir()} - readers
    return wanted | {f"app.{name}" for name in ("archive",) if (APP / name).is_dir()} - kept_away


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        for child in getattr(node, "body", []) if not isinstance(node, (ast.Lambda, ast.IfExp)) else []:
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                yield child.value


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each) if isinstance(each, ast.Constant) else "x" for each in node.values)
    return node.value if isinstance(node.value, str) else ""


def _called_name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
