"""Looks for a text wherever a database may keep it, compressed or not."""

from __future__ import annotations

from typing import Any

import asyncpg

from app.store.slices.pieces import Coder

TABLES = """
SELECT c.relname FROM pg_class AS c
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname
"""


async def places_of(url: str, *words: str) -> list[str]:
    """`table.column` of every value that holds one of these words, whatever its type; pieces are unpacked."""
    needles = [each.encode() for each in words]
    folded = [each.casefold().encode() for each in words]
    connection = await asyncpg.connect(url)
    coder = Coder()
    found = set()
    try:
        for name in [row["relname"] for row in await connection.fetch(TABLES)]:
            for row in await connection.fetch(f'SELECT * FROM "{name}"'):
                for column, value in row.items():
                    data = _bytes_of(value)
                    if name.startswith("pieces") and column == "data":
                        data += coder.decode(
                            row["node"], row["parent"], row["raw_bytes"], row["coding"], row["data"]
                        )
                    if any(each in data for each in needles + folded):
                        found.add(f"{name.split('_w2')[0].split('_m2')[0]}.{column}")
    finally:
        await connection.close()
    return sorted(found)


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogatepass")
