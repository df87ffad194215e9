"""A file of an export while it comes in: whole records alone, each counted, so that a cut one can be gone on with."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from app.errors import ConsoleUnreachableError

_CSV_ID = re.compile(rb'"([0-9a-f-]{36})"')
_BLOCK_BYTES = 1 << 20


class Records(Protocol):
    """Cuts bytes into records."""

    last_id: str | None
    """Of the last record that came whole."""
    count: int

    def feed(self, data: bytes) -> bytes:
        """What can be written now."""

    def drop(self) -> None:
        """Forgets the beginning of a record that did not come whole."""


class Lines:
    """JSON Lines whose records have an `id`; with `unwrap`, those of fine-tuning, of which the example is kept."""

    def __init__(self, *, unwrap: bool = False) -> None:
        self.last_id: str | None = None
        self.count = 0
        self.left_out: Counter[str] = Counter()
        self._unwrap = unwrap
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Whole lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return b"".join(self._line(line) for line in lines)

    def drop(self) -> None:
        """Forgets the line that has begun."""
        self._rest = b""

    def _line(self, line: bytes) -> bytes:
        told = json.loads(line)
        self.last_id = told["id"]
        if not self._unwrap:
            self.count += 1
            return line + b"\n"
        if "example" not in told:
            self.left_out[told["left_out"]] += 1
            return b""
        self.count += 1
        example = json.dumps(told["example"], ensure_ascii=False, separators=(",", ":"))
        return example.encode("utf-8", "replace") + b"\n"


class Rows:
    """CSV whose first column is the id; a row ends at a line end outside of quotes."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.count = 0
        self.has_names = False
        """The line of names came whole."""
        self._rest: list[bytes] = []
        self._is_open = False

    def feed(self, data: bytes) -> bytes:
        """Whole rows."""
        written = []
        for piece in data.splitlines(keepends=True):
            self._rest.append(piece)
            self._is_open ^= piece.count(b'"') % 2 == 1
            row = self._rest
            if not self._is_open and piece.endswith(b"\n"):
                whole = b"".join(row)
                written.append(whole)
                self._rest = []
                self.has_names = True
                if found := _CSV_ID.match(whole):
                    self.last_id = found[1].decode()
                    self.count += 1
        return b"".join(written)

    def drop(self) -> None:
        """Forgets the row that has begun."""
        self._rest, self._is_open = [], False


class Blocks:
    """A file that is whole or nothing."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.count = 0

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data

    def drop(self) -> None:
        """Nothing is held."""


def take_up(path: Path, records: Records) -> None:
    """Reads what a file holds, and cuts off what did not come whole."""
    size = 0
    with path.open("r+b") as file:
        while block := file.read(_BLOCK_BYTES):
            size += len(records.feed(block))
        records.drop()
        file.truncate(size)


def fill(
    file: BinaryIO,
    records: Records,
    pieces: Callable[[str | None], Iterator[bytes]],
    tell: Callable[[int, int], None],
    tries: int,
) -> None:
    """Writes an export; one that is cut is asked for again, behind its last record, while it gets on.

    `pieces(after)` asks for the bytes behind a record; `tell` hears of records and bytes. Raises ConsoleError.
    """
    written = 0
    while True:
        before = records.last_id
        try:
            for piece in pieces(records.last_id):
                whole = records.feed(piece)
                file.write(whole)
                written += len(whole)
                tell(records.count, written)
            file.flush()
            return
        except ConsoleUnreachableError:
            records.drop()
            tries = tries if records.last_id != before else tries - 1
            if isinstance(records, Blocks) or tries <= 0:
                raise
