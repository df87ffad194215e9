"""What is installed and imported: few, locked, not too old, and nothing that runs what it reads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.test_architecture import APP, REPOSITORY

FLOORS = {"h11": (0, 16, 0), "starlette": (1, 0, 1), "uvicorn": (0, 54)}
ABSENT = ("python-multipart", "jinja2", "pyyaml", "requests", "aiohttp")
FORBIDDEN = {
    *("pickle", "cPickle", "marshal", "shelve", "dill", "jinja2", "mako", "yaml", "multipart"),
    *("starlette.staticfiles", "fastapi.staticfiles", "starlette.templating", "fastapi.templating"),
}
FORBIDDEN_NAMES = {
    "FileResponse",
    "StaticFiles",
    "Jinja2Templates",
    "eval",
    "exec",
    "UploadFile",
    "CORSMiddleware",
}
MOST_IN_A_WORKER = 20
PROBE = """
import sys
from importlib.metadata import packages_distributions
import app.proxy.worker
owners = packages_distributions()
loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted({each for name in loaded for each in owners.get(name, ())}))
"""


def locked() -> dict[str, tuple[int, ...]]:
    """What the product is installed with: names and versions."""
    found = re.findall(
        r"^([a-z0-9-]+)(?:\[.*\])?==([\d.]+)", (REPOSITORY / "requirements.lock").read_text(), re.M
    )
    return {name: tuple(map(int, version.strip(".").split("."))) for name, version in found}


def test_what_is_locked_is_not_too_old_and_holds_nothing_that_is_not_needed():
    versions = locked()
    assert len(versions) >= 20
    for name, floor in FLOORS.items():
        assert versions[name] >= floor, name
    assert not set(ABSENT) & set(versions)


def imports_and_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def test_nothing_is_imported_that_runs_what_it_reads_or_serves_files():
    for path in sorted(APP.rglob("*.py")):
        used = set(imports_and_names(ast.parse(path.read_text())))
        assert not used & (FORBIDDEN | FORBIDDEN_NAMES), path


@pytest.mark.parametrize("text", ["import pickle", "from fastapi.responses import FileResponse", "eval(x)"])
def test_a_module_that_would_is_found(text):
    assert set(imports_and_names(ast.parse(text))) & (FORBIDDEN | FORBIDDEN_NAMES)


@pytest.mark.timeout(60)
def test_a_worker_is_made_of_few_packages():
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split()) - {"verbatim-proxy"}
    assert {"uvicorn", "httptools", "msgspec"} <= loaded
    assert len(loaded) <= MOST_IN_A_WORKER, loaded
    assert not loaded & {"asyncpg", "alembic", "sqlalchemy", "numpy", "httpx", "typer", "pyarrow"}
