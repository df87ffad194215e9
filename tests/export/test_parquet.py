"""Parquet, read back by what people use."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet
import pytest

from app.errors import ExportFailedError
from app.export.parquet import BATCH_ROWS, ParquetWriter
from app.export.parquet_process import GROUP_ROWS
from app.export.values import Exported
from tests.cli.processes import descendants_of
from tests.export.shapes import answer, exported, message, record


def file_of(*those: Exported, with_messages: bool = True) -> bytes:
    with closing(ParquetWriter(with_messages=with_messages)) as writer:
        return writer.begin() + b"".join(map(writer.add, those)) + writer.end()


def test_values_keep_their_types():
    (row,) = pyarrow.parquet.read_table(
        io.BytesIO(file_of(exported(message("user", "Hi\ud800"), answer("你好"))))
    ).to_pylist()
    assert row["cost"] == Decimal("0.000127")
    assert row["started_at"].isoformat() == "2026-11-18T12:00:00.000001+00:00"
    assert (row["input_tokens"], row["cached_tokens"], row["stream"]) == (7, None, True)
    assert (row["question"], row["answer"], json.loads(row["tags"])) == ("Hi?", "你好", {"team": "blue"})


def test_a_file_of_nothing_is_a_file():
    table = pyarrow.parquet.read_table(io.BytesIO(file_of()))
    assert (table.num_rows, "id" in table.column_names) == (0, True)


def test_row_groups_leave_when_they_are_full():
    with closing(ParquetWriter(with_messages=False)) as writer:
        sizes = [len(writer.add(Exported(record()))) for _ in range(GROUP_ROWS + BATCH_ROWS)]
    assert sum(sizes[:GROUP_ROWS]) == len(b"PAR1")
    assert sum(sizes) > 1_000


def opened() -> tuple[ParquetWriter, int]:
    """A writer, and its process."""
    before = set(descendants_of(os.getpid()))
    writer = ParquetWriter(with_messages=False)
    [pid] = set(descendants_of(os.getpid())) - before
    return writer, pid


def test_a_file_that_nobody_wants_to_the_end_leaves_no_process():
    writer, pid = opened()
    writer.add(Exported(record()))
    writer.close()
    writer.close()
    assert pid not in descendants_of(os.getpid())


def test_a_file_whose_process_was_killed_fails():
    writer, pid = opened()
    os.kill(pid, signal.SIGKILL)
    with closing(writer), pytest.raises(ExportFailedError, match="ended with -9"):
        for _ in range(BATCH_ROWS + 1):
            writer.add(Exported(record()))


def test_the_process_leaves_when_nobody_hands_it_rows():
    left = subprocess.run(
        [sys.executable, "-m", "app.export.parquet_process"], input=b"", check=True, timeout=60
    )
    assert left.returncode == 0


def test_duckdb_and_polars_count_the_same(tmp_path: Path):
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    path = tmp_path / "x.parquet"
    path.write_bytes(file_of(*(exported(answer(str(number)), id=str(number)) for number in range(50))))
    (counted,) = duckdb.sql(f"SELECT count(*), sum(cost), max(answer) FROM '{path}'").fetchall()
    assert counted == (50, Decimal("0.006350"), "9")
    frame = polars.read_parquet(path)
    assert (frame.height, frame["cost"].sum(), frame["answer"].max()) == (50, Decimal("0.006350"), "9")
