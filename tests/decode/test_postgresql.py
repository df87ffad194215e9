"""What decoding leaves, a real PostgreSQL takes: as text, as jsonb, as int8."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator

import asyncpg
import pytest

from app.decode import decode_exchange
from app.decode.jsonsafe import TextCleaner
from tests.decode.mutants import fixture_seeds, mutants
from tests.postgres import PostgresServer

NASTY: list[object] = [
    "\0\ud800\udc00\ud800",
    {"\0": 1, "\ud800": 2, "": 3},
    [1e308, -1e-308, float("inf"), float("nan"), 10**3999, -(10**3999)],
    json.loads("[" * 400 + "]" * 400),
    "\u2028\x7f\x01\ufffe\U0010ffff",
]


@pytest.mark.parametrize("value", NASTY, ids=["surrogates", "keys", "numbers", "depth", "characters"])
async def test_cleaned_values_are_taken_as_jsonb(postgres_server: PostgresServer, value: object) -> None:
    connection = await asyncpg.connect(postgres_server.url)
    try:
        assert await connection.fetchval(
            "SELECT $1::jsonb IS NOT NULL", TextCleaner().dumps({"value": value})
        )
    finally:
        await connection.close()


async def test_what_mutants_decode_to_is_taken_as_text_and_jsonb(postgres_server: PostgresServer) -> None:
    damaged = mutants(fixture_seeds(), random.Random(7))
    connection = await asyncpg.connect(postgres_server.url)
    try:
        for _ in range(300):
            mutant = next(damaged)
            decoded = decode_exchange(mutant.request, mutant.response)
            values = dataclasses.asdict(decoded)
            await connection.fetchval("SELECT $1::jsonb", json.dumps(values, ensure_ascii=False))
            await connection.fetchval("SELECT $1::text[]", list(texts(values)))
            counts = [count for name, count in values["usage"].items() if name.endswith("_tokens")]
            await connection.fetchval("SELECT $1::int8[]", counts)
    finally:
        await connection.close()


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for item in value.items() for text in texts(item))
    elif isinstance(value, list | tuple):
        yield from (text for item in value for text in texts(item))
