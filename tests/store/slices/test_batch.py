"""Batches of slices: each is written once, each body is proved, and what is remembered is never believed."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
from collections.abc import Sequence

import pytest

from app.decode.slices import cut_body
from app.exchange import Slice, SliceKind
from app.store.database.partitions import Partitions
from app.store.database.pool import Pool
from app.store.slices import batch as piece_batch
from app.store.slices.batch import BodyNodes, KnownNodes, PieceBatch, Place
from app.store.slices.bodies import BodyReader, Manifest
from app.store.slices.layout import CutBody, lay_out
from app.store.slices.pieces import HeldBody

WEEK = datetime.date(2026, 11, 16)
PLACE = (1, WEEK)
LEAVES = """
DELETE FROM pieces AS p WHERE node <> ALL($1::bytea[])
    AND NOT EXISTS (SELECT FROM pieces AS child WHERE child.parent = p.node)
"""


def call(turns: int, run: int = 0, **fields: object) -> bytes:
    """The body of a run's call, each turn 600 bytes."""
    talk = [{"role": "user", "content": f"{run} {turn} " + "words " * 95} for turn in range(turns)]
    prompt = {"role": "system", "content": "You are one of many. " * 30}
    return json.dumps({"model": "m", "messages": [prompt, *talk], **fields}).encode()


async def write(
    pool: Pool, bodies: Sequence[bytes], known: KnownNodes | None = None, place: Place = PLACE
) -> list[BodyNodes]:
    """Writes bodies as one batch."""
    await Partitions(pool).make_for([WEEK])
    batch = PieceBatch(known)
    nodes = [batch.add(place, HeldBody(body), cut_body(body)) for body in bodies]
    async with pool.transaction() as connection:
        await batch.write(connection)
    assert batch.stored_whole == 0
    return nodes


async def read(pool: Pool, nodes: BodyNodes, place: Place = PLACE) -> bytes:
    """A body as it comes back."""
    reader = BodyReader(pool)
    manifest = Manifest(*place, nodes.head, nodes.tip, nodes.tail)
    return b"".join([chunk async for chunk in reader.read(manifest, await reader.pieces(manifest))])


async def count(pool: Pool) -> int:
    """How many slices there are."""
    async with pool.transaction(readonly=True) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM pieces"))


@pytest.mark.parametrize("remembered", [True, False])
async def test_a_turn_adds_its_own_slice_and_nothing_else(pool: Pool, remembered: bool) -> None:
    known = KnownNodes()
    for turns in range(2, 40):
        before = await count(pool) if turns > 2 else 0
        body = call(turns)
        [nodes] = await write(pool, [body], known if remembered else None)
        assert await count(pool) - before == (1 if turns > 2 else 4)  # the prompt, two turns and the layout
        assert await read(pool, nodes) == body


async def test_a_field_that_changes_adds_a_layout_and_nothing_else(pool: Pool) -> None:
    bodies = [call(20, temperature=number, tools=[{"name": "t" * 400}]) for number in range(10)]
    for body, nodes in zip(bodies, await write(pool, bodies), strict=True):
        assert await read(pool, nodes) == body
    assert await count(pool) == 20 + 2 + 10


async def test_a_picture_is_kept_once_whatever_is_asked_about_it(pool: Pool) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + os.urandom(9000).hex()}}

    def body(question: str) -> bytes:
        content = [{"type": "text", "text": question * 100}, picture]
        return json.dumps({"messages": [{"role": "user", "content": content}, {"role": "user"}]}).encode()

    bodies = [body(f"What is this, {number}?") for number in range(5)]
    for each, nodes in zip(bodies, await write(pool, bodies), strict=True):
        assert await read(pool, nodes) == each
    async with pool.transaction(readonly=True) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pieces WHERE raw_bytes = 18000") == 1


async def test_projects_share_nothing(pool: Pool) -> None:
    known = KnownNodes()
    body = call(3)
    await write(pool, [body], known)
    alone = await count(pool)
    [nodes] = await write(pool, [body], known, (2, WEEK))
    assert await count(pool) == 2 * alone
    assert await read(pool, nodes, (2, WEEK)) == body


async def test_what_was_erased_is_written_again_though_it_is_remembered(pool: Pool) -> None:
    known = KnownNodes()
    body = call(20)
    await write(pool, [body], known)
    async with pool.transaction() as connection:
        await connection.execute("DELETE FROM pieces")
    [nodes] = await write(pool, [call(21)], known)
    assert await read(pool, nodes) == call(21)


async def test_leaves_first_an_erasure_takes_what_nothing_else_uses(pool: Pool) -> None:
    known = KnownNodes()
    kept, erased = await write(pool, [call(12), call(30)], known)
    names = [each for each in (kept.head, kept.tip, kept.tail) if each is not None]
    while True:
        async with pool.transaction() as connection:
            if (await connection.execute(LEAVES, names)) == "DELETE 0":
                break
    assert erased.tip != kept.tip
    assert await count(pool) == 12 + 2
    assert await read(pool, kept) == call(12)
    [again] = await write(pool, [call(30)], known)
    assert again == erased and await read(pool, again) == call(30)


async def test_a_body_whose_slices_would_not_give_it_back_is_kept_whole(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = call(5)

    def wrong(data: bytes, cut: Sequence[Slice]) -> CutBody:
        parts = lay_out(data, cut)
        return CutBody(parts.head, parts.tip[::-1], parts.layout)

    monkeypatch.setattr(piece_batch, "lay_out", wrong)
    await Partitions(pool).make_for([WEEK])
    batch = PieceBatch()
    nodes = batch.add(PLACE, HeldBody(body), cut_body(body))
    async with pool.transaction() as connection:
        await batch.write(connection)
    assert batch.stored_whole == 1
    assert nodes.head is None and nodes.tail is None
    assert await read(pool, nodes) == body


async def test_a_cut_that_names_no_border_at_all_still_gives_the_body_back(pool: Pool) -> None:
    body = os.urandom(5000)
    cut = [(SliceKind.TALK, 10), (SliceKind.TOOLS, 11), (SliceKind.LARGE, 4000), (SliceKind.REST, 5000)]
    await Partitions(pool).make_for([WEEK])
    batch = PieceBatch()
    nodes = batch.add(PLACE, HeldBody(body), cut)
    async with pool.transaction() as connection:
        await batch.write(connection)
    assert await read(pool, nodes) == body


async def test_a_conversation_of_twelve_thousand_messages_comes_back(pool: Pool) -> None:
    talk = [{"role": "user", "content": f"{turn} " + "words " * 45} for turn in range(12_000)]
    body = json.dumps({"messages": talk}).encode()
    [nodes] = await write(pool, [body])
    assert await count(pool) > 12_000
    assert await read(pool, nodes) == body


async def test_batches_that_share_conversations_do_not_deadlock(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        piece_batch, "WINDOW_ROWS", 1
    )  # each slice a statement, so that the batches interleave
    one = [call(turns, run) for run in range(4) for turns in (3, 6)]
    other = [call(turns, run) for run in reversed(range(4)) for turns in (7, 2)]
    ends, other_ends = await asyncio.gather(write(pool, one), write(pool, other))
    for body, nodes in zip(one + other, ends + other_ends, strict=True):
        assert await read(pool, nodes) == body


def test_what_is_remembered_is_bounded_and_the_latest() -> None:
    known = KnownNodes(10)
    sizes = []
    for number in range(100):
        known.add(PLACE, [b"%d" % number])
        sizes.append(len(known))
        # Never less than the younger half.
        assert all(known.deepest(PLACE, [b"%d" % each]) for each in range(max(0, number - 4), number + 1))
    assert max(sizes) <= 10
    assert known.deepest(PLACE, [b"50"]) is None and known.deepest((2, WEEK), [b"99"]) is None
    assert known.deepest(PLACE, [b"98", b"99", b"unknown"]) == b"99"


def test_what_is_written_again_is_remembered_from_then_on() -> None:
    known = KnownNodes(10)
    for number in range(100):
        known.add(PLACE, [b"%d" % number])
        if number % 4 == 0:
            known.add(PLACE, [b"again"])
        assert known.deepest(PLACE, [b"again"]) == b"again"
