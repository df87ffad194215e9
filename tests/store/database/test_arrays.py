"""Arrays that are told by their type are sent as before, and nothing is asked of their elements."""

from __future__ import annotations

import datetime
import decimal
import sys
import uuid
from collections.abc import Iterable, Sized
from types import FrameType
from typing import Any

import pytest
from asyncpg.protocol import protocol

from app.store.database.arrays import ASKED, tell_arrays_by_type
from app.store.database.pool import Pool

MANY = 500
MOST_ASKED = 20
"""Times that an abstract class is asked for a whole array."""


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """As asyncpg has it, whatever ran before in this process."""
    for name, asked in zip(ASKED, (Iterable, Sized), strict=True):
        assert hasattr(protocol, name)
        monkeypatch.setattr(protocol, name, asked)


@pytest.fixture
def told(untold: None) -> None:
    tell_arrays_by_type()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", ["a", None, '{"[', "龙猫"]),
        ("bytea", [b"", b"\x00\xff", None]),
        ("int8", [1, None, -(1 << 63)]),
        ("bool", [True, None, False]),
        ("uuid", [uuid.UUID(int=7), None]),
        ("numeric", [decimal.Decimal("1.25"), None]),
        ("timestamptz", [datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC), None]),
        ("date", [datetime.date(2026, 11, 23), None]),
        ("text", []),
        ("int4", [[1, 2], [3, 4]]),
    ],
)
@pytest.mark.usefixtures("told")
async def test_arrays_are_sent_as_they_are(pool: Pool, kind: str, values: list[Any]) -> None:
    async with pool.transaction(readonly=True) as connection:
        assert await connection.fetchval(f"SELECT $1::{kind}[]", values) == values
        assert await connection.fetchval(f"SELECT $1::{kind}[]", tuple(values)) == values


@pytest.mark.parametrize("is_told", [False, True])
async def test_no_abstract_class_is_asked_about_each_element(
    pool: Pool, request: pytest.FixtureRequest, is_told: bool
) -> None:
    request.getfixturevalue("told" if is_told else "untold")
    asked = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal asked
        asked += event == "call" and frame.f_code.co_name == "__instancecheck__"

    async with pool.transaction(readonly=True) as connection:
        statement = await connection.prepare("SELECT cardinality($1::text[])")
        sys.setprofile(count)
        try:
            assert await statement.fetchval(["word"] * MANY) == MANY
        finally:
            sys.setprofile(None)
    assert (asked < MOST_ASKED) == is_told
