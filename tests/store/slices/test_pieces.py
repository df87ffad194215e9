"""Slices: named by what leads to them, kept small, written in one order by everybody."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import PoisonError, StoreError
from app.store.database.partitions import Partitions
from app.store.database.pool import Pool
from app.store.slices import batch as piece_batch
from app.store.slices import pieces
from app.store.slices.batch import PieceBatch
from app.store.slices.dictionary import shared_dictionary
from app.store.slices.pieces import (
    RAW,
    ZSTD,
    ZSTD_SHARED,
    Coder,
    HeldBody,
    chain,
    decode_chunk_times,
    node_of,
)
from app.store.writing.record import ChunkTime

WEEK = datetime.date(2026, 11, 16)


def test_a_node_is_the_digest_of_its_parent_and_its_slice() -> None:
    root, second = chain([b"a", b"b"])
    assert root == hashlib.sha256(bytes(32) + b"a").digest()
    assert second == hashlib.sha256(root + b"b").digest()
    assert node_of(None, root + b"b") != second


@given(st.binary(max_size=5000))
def test_a_coded_slice_is_never_longer_and_comes_back(data: bytes) -> None:
    coding, kept = Coder().encode(data)
    assert len(kept) <= len(data)
    assert Coder().decode(node_of(None, data), None, len(data), coding, kept) == data


def test_what_does_not_shrink_is_kept_raw() -> None:
    assert Coder().encode(noise := os.urandom(3000)) == (RAW, noise)
    assert Coder().encode(b"a" * 3000)[0] == ZSTD_SHARED
    assert Coder().encode(b"a" * 300_000)[0] == ZSTD


def test_the_dictionary_is_the_one_that_was_written_with() -> None:
    digest = hashlib.sha256(shared_dictionary()).hexdigest()
    assert digest == "d0f07dca090cfb781ddce9eb8e641172755bb36e8581d3fc45d0ace349fcd6a3"


def test_a_coding_of_a_newer_version_is_told_from_damage() -> None:
    with pytest.raises(StoreError, match="newer"):
        Coder().decode(node_of(None, b"y"), None, 1, 9, b"y")


@pytest.mark.parametrize("data", [b"x", b"", b"\x28\xb5\x2f\xfd damaged"])
def test_a_damaged_slice_is_refused(data: bytes) -> None:
    for coding in (RAW, ZSTD, ZSTD_SHARED):
        with pytest.raises(StoreError, match="damaged"):
            Coder().decode(node_of(None, b"y"), None, 1, coding, data)


@given(st.lists(st.tuples(st.integers(0, 1 << 50), st.integers(0, 1 << 30))))
def test_chunk_times_come_back(pairs: list[tuple[int, int]]) -> None:
    times = [ChunkTime(offset_us, size_bytes) for offset_us, size_bytes in pairs]
    assert decode_chunk_times(Coder().encode_chunk_times(times)) == times


def bodies_of(kind: str) -> tuple[list[bytes], list[bytes]]:
    """Two batches that share slices, for slices of 64 bytes; kinds apart, since one shared slice makes all wait."""
    source = random.Random(7)
    roots = [source.randbytes(64) for _ in range(12)]
    match kind:
        case "short":
            bodies = [each[:20] for each in roots]
            return bodies, bodies[::-1]
        case "long":
            bodies = [each + end for each in roots for end in (b"a", b"b", roots[0], roots[0] + b"c")]
            return bodies, bodies[::-1]
        case _:  # one full slice alone, where the other batch has a longer body that begins with it
            return (
                [each + b"x" * (number % 2) for number, each in enumerate(roots)],
                [each + b"x" * (1 - number % 2) for number, each in enumerate(roots)],
            )


@pytest.mark.parametrize("kind", ["short", "long", "beginning"])
async def test_batches_that_share_slices_in_any_order_do_not_deadlock(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(pieces, "SLICE_BYTES", 64)
    monkeypatch.setattr(piece_batch, "SLICE_BYTES", 64)
    monkeypatch.setattr(
        piece_batch, "WINDOW_ROWS", 1
    )  # each slice a statement, so that the batches interleave
    await Partitions(pool).make_for([WEEK])

    both_began = asyncio.Barrier(2)

    async def write(bodies: list[bytes]) -> None:
        batch = PieceBatch()
        for body in bodies:
            batch.add((1, WEEK), HeldBody(body))
        async with pool.transaction() as connection:
            await both_began.wait()
            await batch.write(connection)

    one, other = bodies_of(kind)
    await asyncio.gather(write(one), write(other))
    async with pool.transaction(readonly=True) as connection:
        nodes = {node for body in one + other for node in chain(HeldBody(body).slices())}
        assert await connection.fetchval("SELECT count(*) FROM pieces") == len(nodes)


@pytest.mark.parametrize("size_bytes", [1, 4 << 20])
async def test_a_body_that_changes_between_two_readings_is_not_written(pool: Pool, size_bytes: int) -> None:
    class Moving:
        length_bytes = size_bytes
        sha256 = hashlib.sha256(b"a" * size_bytes).digest()

        def __init__(self) -> None:
            self._turns = iter([b"a", b"b"] if size_bytes > 1 else [b"b"])

        def slices(self) -> Iterator[bytes]:
            yield next(self._turns) * size_bytes

    await Partitions(pool).make_for([WEEK])
    batch = PieceBatch()
    with pytest.raises(PoisonError, match="changed"):
        batch.add((1, WEEK), Moving())
        async with pool.transaction() as connection:
            await batch.write(connection)
