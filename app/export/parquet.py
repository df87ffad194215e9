"""Parquet: rows go to a process of its own, which writes the file with pyarrow.

The library takes a hundred megabytes, and more with each row group until the file ends; they go with the process.
"""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from contextlib import suppress
from typing import Any

import msgspec

from app.errors import ExportFailedError
from app.export.columns import columns, row
from app.export.values import Exported, Writer

BATCH_ROWS = 200
BATCH_CHARACTERS = 1 << 20
"""So much is held before it is handed over."""
LENGTH = struct.Struct("<I")
"""What is told stands behind its length. Rows are told as MessagePack: arrays in the order of the columns. Pieces of
the file answer them, the last one empty. No rows at all are the end, which the rest of the file answers."""
STOP_SECONDS = 5.0
_COMMAND = (
    *("env", "MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=65536", "MALLOC_TRIM_THRESHOLD_=65536"),
    *(sys.executable, "-m", "app.export.parquet_process"),
)
"""GNU's malloc would otherwise hold back a row group's worth."""
HOW_TO_INSTALL = "Parquet needs pyarrow, which is not installed: pip install 'verbatim-proxy[parquet]'"


def is_installed() -> bool:
    """Whether pyarrow is there."""
    return importlib.util.find_spec("pyarrow") is not None


class ParquetWriter(Writer):
    """A file of row groups; zstd inside. Times are UTC to the microsecond, costs decimals, tags and messages JSON.

    Raises ExportFailedError where the process ends before the file.
    """

    def __init__(self, *, with_messages: bool) -> None:
        self._columns = columns(with_messages=with_messages)
        self._with_messages = with_messages
        self._process = subprocess.Popen(
            [*_COMMAND, *(["--messages"] if with_messages else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt from the terminal is the console's to answer
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._rows: list[list[Any]] = []
        self._characters = 0
        self._is_answered = True

    def begin(self) -> bytes:
        """Nothing: the magic number comes with the first rows."""
        return b""

    def add(self, exported: Exported) -> bytes:
        """Nothing, or the next piece of what the rows so far have filled."""
        values = row(exported, with_messages=self._with_messages)
        self._rows.append([_value(values.get(column.name)) for column in self._columns])
        self._characters += sum(len(value) for value in self._rows[-1] if isinstance(value, str))
        piece = b"" if self._is_answered else self._piece()
        if len(self._rows) >= BATCH_ROWS or self._characters >= BATCH_CHARACTERS:
            piece += self._answer()
            self._tell()
        return piece

    def end(self) -> bytes:
        """The last row group, and the footer."""
        last = self._answer()
        if self._rows:
            self._tell()
            last += self._answer()
        self._tell()
        return last + self._answer()

    def close(self) -> None:
        """Ends the process, whether the file is whole or not."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._in, self._out):
            with suppress(BrokenPipeError):
                pipe.close()

    def _tell(self) -> None:
        """Hands the rows over; where there are none, says that the file ends."""
        told = msgspec.msgpack.encode(self._rows)
        self._rows, self._characters = [], 0
        self._is_answered = False
        with suppress(BrokenPipeError):
            self._in.write(LENGTH.pack(len(told)) + told)
            self._in.flush()

    def _answer(self) -> bytes:
        """What is left of the answer."""
        pieces = []
        while not self._is_answered:
            pieces.append(self._piece())
        return b"".join(pieces)

    def _piece(self) -> bytes:
        [size] = LENGTH.unpack(self._read(LENGTH.size))
        self._is_answered = size == 0
        return self._read(size)

    def _read(self, size: int) -> bytes:
        found = self._out.read(size)
        if len(found) < size:
            raise ExportFailedError(f"it ended with {self._process.wait(STOP_SECONDS)}")
        return found


def _value(value: Any) -> Any:
    """Half a surrogate pair, which JSON may hold, is no text elsewhere."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
