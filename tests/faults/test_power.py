"""The power goes at any moment: what was said to be on the disk is there, nothing is invented, nothing is doubled."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.errors import FrameError
from app.exchange import FrameType
from app.journal.reader import JournalDirectory
from app.journal.writer import JournalWriter
from tests.fakes.power import Left, NotedDisk
from tests.faults.conftest import Row
from tests.journal.segments import Told, exchange_id, read_file
from tests.journal.writers import RULES, opened, put

EXCHANGES = 400
INTERVAL_SECONDS = 0.05
LATE_SECONDS = 10 * INTERVAL_SECONDS
INTERNAL = (FrameType.HEADER, FrameType.SEAL, FrameType.NOTE)


@pytest.mark.row("K7", ci=200, soak=1000)
async def test_with_always_all_that_was_let_go_survives_the_loss_of_power(tmp_path: Path, row: Row) -> None:
    chance = random.Random(row.times)
    disk = NotedDisk()
    given: dict[Any, list[Told]] = {}
    with opened(
        tmp_path / "journal", disk, rules=replace(RULES, fsync="always", segment_bytes=30_000)
    ) as writer:
        for number in range(EXCHANGES):
            given[number] = _put(writer, number, chance)
            writer.on_durable(writer.position, partial(_tell, disk, number))
            if number % 5 == 0:
                await asyncio.sleep(0.001)
    known = {frame for frames in given.values() for frame in frames}
    kept = 0
    for left, found in _cuts(disk, tmp_path, row, chance):
        assert len(set(found)) == len(found), "a frame is there twice"
        assert known.issuperset(found), "a frame was invented"
        there = set(found)
        for number in left.told:
            assert there.issuperset(given[number]), f"exchange {number} was said to be on the disk"
        kept = max(kept, len(left.told))
    assert kept > EXCHANGES / 2, "the power went too early to tell anything"
    row.tell(always=f"nothing that was let go is lost; {EXCHANGES} exchanges, {len(disk.steps)} steps")


@pytest.mark.row("K7", ci=200, soak=1000)
def test_with_an_interval_only_the_last_moments_are_lost(tmp_path: Path, row: Row) -> None:
    chance = random.Random(row.times)
    disk = NotedDisk()
    given: dict[Any, list[Told]] = {}
    rules = replace(RULES, fsync=INTERVAL_SECONDS, segment_bytes=30_000)
    with opened(tmp_path / "journal", disk, rules=rules) as writer:
        for number in range(EXCHANGES):
            given[number] = _put(writer, number, chance)
            _tell(disk, (number, time.monotonic()))
            time.sleep(0.003)
    known = {frame for frames in given.values() for frame in frames}
    longest = 0.0
    for left, found in _cuts(disk, tmp_path, row, chance):
        assert len(set(found)) == len(found), "a frame is there twice"
        assert known.issuperset(found), "a frame was invented"
        there = set(found)
        missing = [at for number, at in left.told if not there.issuperset(given[number])]
        if missing:
            longest = max(longest, left.told[-1][1] - missing[0])
    assert longest < LATE_SECONDS, f"{longest:.2f} s are lost, with a sync every {INTERVAL_SECONDS} s"
    row.tell(
        interval=f"at most {longest * 1e3:.0f} ms lost with a sync every {INTERVAL_SECONDS * 1e3:.0f} ms"
    )


def _put(writer: JournalWriter, number: int, chance: random.Random) -> list[Told]:
    """Writes an exchange; gives its frames."""
    owner = exchange_id(number)
    chunks = [chance.randbytes(chance.randint(0, 3_000)) for _ in range(chance.randint(1, 3))]
    assert put(writer, owner, *chunks)
    payloads = [
        (FrameType.BEGIN, b"begin"),
        *((FrameType.RESPONSE_CHUNK, chunk) for chunk in chunks),
        (FrameType.END, b"end"),
    ]
    return [(kind, owner, sequence, payload) for sequence, (kind, payload) in enumerate(payloads)]


def _tell(disk: NotedDisk, what: object) -> None:
    disk.note(lambda left: left.told.append(what))


def _cuts(
    disk: NotedDisk, folder: Path, row: Row, chance: random.Random
) -> Iterator[tuple[Left, list[Told]]]:
    """What is left, and the frames found in it, when the power goes after some step."""
    left = Left()
    cuts = sorted(chance.randint(1, len(disk.steps)) for _ in row.turns())
    done = 0
    for number, cut in enumerate(cuts):
        for step in disk.steps[done:cut]:
            step(left)
        done = cut
        place = folder / f"left-{number}"
        place.mkdir()
        for name, content in left.after_power_loss(chance).items():
            (place / name).write_bytes(content)
        yield left, list(_frames(place))


def _frames(folder: Path) -> Iterator[Told]:
    for name in JournalDirectory(folder).segments():
        try:
            reading = read_file(folder, name)
        except FrameError:
            continue  # not even its header came to the disk
        yield from (frame for frame in reading.frames if frame[0] not in INTERNAL)
