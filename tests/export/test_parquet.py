"""Parquet, read back by what people use."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet
import pytest

from app.export.parquet import GROUP_ROWS, ParquetWriter
from app.export.values import Exported
from tests.export.shapes import answer, exported, message, record


def file_of(*those: Exported, with_messages: bool = True) -> bytes:
    writer = ParquetWriter(with_messages=with_messages)
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
    writer = ParquetWriter(with_messages=False)
    writer.begin()
    sizes = [len(writer.add(Exported(record()))) for _ in range(GROUP_ROWS)]
    assert not any(sizes[:-1])
    assert sizes[-1] > 0


def test_duckdb_and_polars_count_the_same(tmp_path: Path):
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    path = tmp_path / "x.parquet"
    path.write_bytes(file_of(*(exported(answer(str(number)), id=str(number)) for number in range(50))))
    (counted,) = duckdb.sql(f"SELECT count(*), sum(cost), max(answer) FROM '{path}'").fetchall()
    assert counted == (50, Decimal("0.006350"), "9")
    frame = polars.read_parquet(path)
    assert (frame.height, frame["cost"].sum(), frame["answer"].max()) == (50, Decimal("0.006350"), "9")
