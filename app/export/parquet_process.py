"""The process that writes a file of Parquet: rows come on its standard input, bytes of the file go to its standard
output, as `parquet.py` says. It ends with the file, or when nobody hands it rows any more."""

from __future__ import annotations

import datetime
import importlib
import io
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, BinaryIO

import msgspec

from app.export.columns import Column, columns
from app.export.parquet import LENGTH

GROUP_ROWS = 5_000
GROUP_BYTES = 4 << 20
LARGER_EVERY = 16
"""Row groups after which they are larger by so much again: the library keeps 80 KB of each until the file ends."""
MOST_TIMES = 5
WITHOUT_STATISTICS = frozenset({"request_preview", "response_preview", "question", "answer", "messages"})
"""Nobody looks for the least and the greatest of these, of which the library would keep four copies a group."""
DONE_WITHOUT = ("numpy", "pyarrow._azurefs", "pyarrow._gcsfs", "pyarrow._hdfs", "pyarrow._s3fs")
"""The library does without them where they are not there, and with 14 MB less."""
COST_DIGITS, COST_PLACES = 38, 18


class RowGroups:
    """Rows as pieces of a file; row groups leave as soon as they are full."""

    def __init__(self, out: BinaryIO, *, with_messages: bool) -> None:
        no_module: Any = None
        for name in DONE_WITHOUT:
            sys.modules[name] = no_module
        self._arrow: Any = importlib.import_module("pyarrow")
        # Arrow's own allocator keeps twice as much as is in use.
        self._memory: Any = self._arrow.system_memory_pool()
        self._arrow.set_memory_pool(self._memory)
        self._arrow.set_cpu_count(1)
        parquet: Any = importlib.import_module("pyarrow.parquet")
        self._columns = columns(with_messages=with_messages)
        self._schema = self._arrow.schema(
            [(column.name, self._type(column)) for column in self._columns],
            metadata={"verbatim.note": "tags and messages are JSON"},
        )
        self._writer = parquet.ParquetWriter(
            self._arrow.PythonFile(_Sink(out), mode="w"),
            self._schema,
            compression="zstd",
            write_statistics=[each.name for each in self._columns if each.name not in WITHOUT_STATISTICS],
        )
        self._batches: list[Any] = []
        self._groups = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Takes rows, and writes a row group that is full now."""
        arrays = [
            self._arrow.array([_value(column, each) for each in values], field.type)
            for column, field, values in zip(
                self._columns, self._schema, zip(*rows, strict=True), strict=True
            )
        ]
        self._batches.append(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))
        times = min(1 + self._groups // LARGER_EVERY, MOST_TIMES)
        if (
            sum(each.num_rows for each in self._batches) >= GROUP_ROWS * times
            or sum(each.nbytes for each in self._batches) >= GROUP_BYTES * times
        ):
            self._write_group()

    def end(self) -> None:
        """Writes the rest of the file."""
        self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
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
    """Hands on what the library writes, at once, each piece behind its length."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out = out

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Keeps nothing."""
        size = memoryview(data).nbytes
        if size:
            self._out.write(LENGTH.pack(size))
            self._out.write(data)
        return size


def _value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind == "time":
        return datetime.datetime.fromisoformat(value)
    if column.kind == "money":
        return _decimal(value)
    return value


def _decimal(text: str) -> Decimal | None:
    """With the places that the column has; None for what is beyond them."""
    try:
        return Decimal(text).quantize(Decimal(1).scaleb(-COST_PLACES))
    except InvalidOperation:
        return None


def main() -> None:
    """The process; `--messages` asks for the columns of what was said."""
    rows_in, out = sys.stdin.buffer, sys.stdout.buffer
    groups = RowGroups(out, with_messages="--messages" in sys.argv)
    while head := rows_in.read(LENGTH.size):
        rows = msgspec.msgpack.decode(rows_in.read(*LENGTH.unpack(head)))
        if rows:
            groups.add(rows)
        else:
            groups.end()
        out.write(LENGTH.pack(0))
        out.flush()
        if not rows:
            return


if __name__ == "__main__":
    main()
