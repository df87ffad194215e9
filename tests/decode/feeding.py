"""One way to feed an incremental parser that tries all ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def feed_every_way(data: bytes, parse: Callable[[list[bytes]], Any], trailing: bytes = b"") -> Any:
    """Parse whole, byte by byte, split at every point and with bytes after the end; all must give one result.

    `parse` makes a parser, feeds it the pieces and returns what came out. Where `trailing` is given, it must change
    nothing when it follows the data.
    """
    whole = parse([data])
    for way, pieces in _ways(data, trailing):
        assert parse(pieces) == whole, way
    return whole


def _ways(data: bytes, trailing: bytes) -> Iterator[tuple[str, list[bytes]]]:
    yield "byte by byte", [data[i : i + 1] for i in range(len(data))]
    yield "with empty pieces", [b"", *[each for i in range(len(data)) for each in (data[i : i + 1], b"")]]
    for point in range(len(data) + 1):
        yield f"split at {point}", [data[:point], data[point:]]
    if trailing:
        yield "with trailing bytes", [data, trailing]
        yield "with trailing bytes in one piece", [data + trailing]
