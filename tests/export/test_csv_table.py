"""CSV that a spreadsheet may open."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.export.columns import columns
from app.export.csv_table import CsvWriter, cell
from app.export.values import Exported
from tests.export.shapes import answer, exported, message, record


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def test_a_row_has_the_metadata_what_was_asked_and_what_was_answered():
    writer = CsvWriter(with_messages=True, with_header=True)
    said = exported(message("system", "Be brief."), message("user", 'Say "hi",\r\nplease'), answer("你好"))
    names, values = read(writer.begin() + writer.add(said) + writer.end())
    row = dict(zip(names, values, strict=True))
    assert row["question"] == 'Say "hi",\r\nplease'
    assert (row["answer"], row["cost"], row["input_tokens"], row["stream"]) == (
        "你好",
        "0.000127",
        "7",
        "true",
    )
    assert (row["cached_tokens"], row["tags"]) == ("", '{"team":"blue"}')


def test_without_messages_there_are_no_columns_for_them():
    writer = CsvWriter(with_messages=False, with_header=False)
    (values,) = read(writer.begin() + writer.add(Exported(record())))
    assert len(values) == len(columns(with_messages=False))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", " ="])
def test_a_text_that_a_spreadsheet_would_run_is_defused(start):
    assert cell(f"{start}cmd|'/c calc'!A1").startswith("\"'" + start)
    assert cell(-5) == "-5"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_cells_are_read_back_as_they_were_but_for_the_apostrophe(texts):
    line = ",".join(map(cell, texts)) + "\r\n"
    (back,) = read(line.encode())
    for text, other in zip(texts, back, strict=True):
        assert other in (text, f"'{text}")
        assert not other.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
