"""Parquet by pyarrow, which comes with the extra `parquet`; row groups leave as soon as they are full."""

from __future__ import annotations

import datetime
import importlib
import importlib.util
import io
from decimal import Decimal, InvalidOperation
from typing import Any

from app.export.columns import Column, columns, row
from app.export.values import Exported

GROUP_ROWS = 5_000
GROUP_BYTES = 4 << 20
LARGER_EVERY = 64
"""Row groups after which they are larger by so much again: the library keeps 46 KB of each until the file ends."""
MOST_TIMES = 8
WITHOUT_STATISTICS = frozenset({"request_preview", "response_preview", "question", "answer", "messages"})
"""Nobody looks for the least and the greatest of such texts, of which the library would keep four copies a group."""
BATCH_ROWS = 200
BATCH_CHARACTERS = 1 << 20
"""So much is held as Python's objects, which take ten times the room of Arrow's."""
COST_DIGITS, COST_PLACES = 38, 18
HOW_TO_INSTALL = "Parquet needs pyarrow, which is not installed: pip install 'verbatim-proxy[parquet]'"


def is_installed() -> bool:
    """Whether pyarrow is there."""
    return importlib.util.find_spec("pyarrow") is not None


class ParquetWriter:
    """A file of row groups; zstd inside. Times are UTC to the microsecond, costs decimals, tags and messages JSON."""

    def __init__(self, *, with_messages: bool) -> None:
        self._arrow: Any = importlib.import_module("pyarrow")
        # Arrow's own allocator keeps twice as much as is in use.
        self._memory: Any = self._arrow.system_memory_pool()
        self._arrow.set_memory_pool(self._memory)
        parquet: Any = importlib.import_module("pyarrow.parquet")
        self._columns = columns(with_messages=with_messages)
        self._with_messages = with_messages
        self._schema = self._arrow.schema(
            [(column.name, self._type(column)) for column in self._columns],
            metadata={"verbatim.note": "tags and messages are JSON"},
        )
        self._sink = _Sink()
        self._writer = parquet.ParquetWriter(
            self._arrow.PythonFile(self._sink, mode="w"),
            self._schema,
            compression="zstd",
            write_statistics=[each.name for each in self._columns if each.name not in WITHOUT_STATISTICS],
        )
        self._rows: list[dict[str, Any]] = []
        self._characters = 0
        self._batches: list[Any] = []
        self._groups = 0

    def begin(self) -> bytes:
        """The magic number."""
        return self._sink.take()

    def add(self, exported: Exported) -> bytes:
        """Nothing, or a row group that is full now."""
        values = row(exported, with_messages=self._with_messages)
        self._rows.append({column.name: _value(column, values.get(column.name)) for column in self._columns})
        self._characters += sum(len(value) for value in self._rows[-1].values() if isinstance(value, str))
        if len(self._rows) >= BATCH_ROWS or self._characters >= BATCH_CHARACTERS:
            self._pack()
            times = min(1 + self._groups // LARGER_EVERY, MOST_TIMES)
            if (
                sum(each.num_rows for each in self._batches) >= GROUP_ROWS * times
                or sum(each.nbytes for each in self._batches) >= GROUP_BYTES * times
            ):
                self._write_group()
        return self._sink.take()

    def end(self) -> bytes:
        """The last row group, and the footer."""
        self._write_group()
        self._writer.close()
        return self._sink.take()

    def _pack(self) -> None:
        if self._rows:
            self._batches.append(self._arrow.RecordBatch.from_pylist(self._rows, schema=self._schema))
        self._rows, self._characters = [], 0

    def _write_group(self) -> None:
        self._pack()
        if self._batches:
            self._writer.write_table(self._arrow.Table.from_batches(self._batches, schema=self._schema))
            self._groups += 1
        self._batches = []
        self._memory.release_unused()

    def _type(self, column: Column) -> Any:
        arrow = self._arrow
        match column.kind:
            case "time":
                return arrow.timestamp("us", tz="UTC")
            case "int":
                return arrow.int64()
            case "float":
                return arrow.float64()
            case "bool":
                return arrow.bool_()
            case "money":
                return arrow.decimal128(COST_DIGITS, COST_PLACES)
            case _:
                return arrow.string()


class _Sink(io.RawIOBase):
    """Where the library writes, and from where the bytes are taken."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Keeps a copy."""
        piece = bytes(data)
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        """What was written since."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def _value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind == "time":
        return datetime.datetime.fromisoformat(value)
    if column.kind == "money":
        return _decimal(value)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _decimal(text: str) -> Decimal | None:
    """With the places that the column has; None for what is beyond them."""
    try:
        return Decimal(text).quantize(Decimal(1).scaleb(-COST_PLACES))
    except InvalidOperation:
        return None
