"""What the wheel carries: the code, its SQL, and the migrations where app.store looks for them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent


def test_the_wheel_carries_code_sql_and_migrations(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("verbatim_proxy-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    code = {str(path.relative_to(REPOSITORY)) for path in travelling(REPOSITORY / "app")}
    migrations = {f"app/{path.relative_to(REPOSITORY)}" for path in travelling(REPOSITORY / "migrations")}
    assert code | migrations <= carried
    assert not [name for name in carried if name.startswith("tests/") or "__pycache__" in name]


def travelling(folder: Path) -> set[Path]:
    """All files but what Python makes by itself."""
    return {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
