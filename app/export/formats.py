"""Which formats there are, and what each needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.export.csv_table import CsvWriter
from app.export.finetune import FinetuneWriter
from app.export.jsonl import JsonlWriter
from app.export.parquet import ParquetWriter
from app.export.transcript import MarkdownWriter, TextWriter
from app.export.values import Writer

FormatName = Literal["jsonl", "csv", "txt", "md", "parquet", "openai-finetune"]


@dataclass(frozen=True, slots=True)
class Options:
    """What may be asked of a format."""

    with_messages: bool = True
    """False leaves out what was said, where the format can."""
    with_header: bool = True
    """False leaves out a table's line of names: the file goes on another."""
    with_ids: bool = False
    """True has the examples of fine-tuning named, and what is left out told."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One format."""

    name: FormatName
    media_type: str
    suffix: str
    make: Callable[[Options], Writer]
    is_talk: bool = False
    """It is about what was said, and nothing without."""
    needs_request_fields: bool = False
    is_compressed: bool = False
    """It is not worth compressing once more."""

    def needs_messages(self, options: Options) -> bool:
        """Whether bodies have to be read."""
        return self.is_talk or options.with_messages


FORMATS: dict[FormatName, FileFormat] = {
    each.name: each
    for each in (
        FileFormat("jsonl", "application/x-ndjson", "jsonl", lambda _: JsonlWriter()),
        FileFormat(
            "csv",
            "text/csv; charset=utf-8",
            "csv",
            lambda options: CsvWriter(with_messages=options.with_messages, with_header=options.with_header),
        ),
        FileFormat("txt", "text/plain; charset=utf-8", "txt", lambda _: TextWriter(), is_talk=True),
        FileFormat("md", "text/markdown; charset=utf-8", "md", lambda _: MarkdownWriter(), is_talk=True),
        FileFormat(
            "parquet",
            "application/vnd.apache.parquet",
            "parquet",
            lambda options: ParquetWriter(with_messages=options.with_messages),
            is_compressed=True,
        ),
        FileFormat(
            "openai-finetune",
            "application/x-ndjson",
            "jsonl",
            lambda options: FinetuneWriter(with_ids=options.with_ids),
            is_talk=True,
            needs_request_fields=True,
        ),
    )
}
