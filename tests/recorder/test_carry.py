from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from app.clock import wall_ns
from app.exchange import End, FrameType
from app.journal.frame import Frame
from app.recorder import carry
from app.recorder.assemble import Assembler
from app.recorder.bodies import whole_body
from app.recorder.carry import Carrier, is_mostly_dead, is_pinned
from app.recorder.segment import CARRIED, RECORDED, Segment
from app.recorder.status import RecorderStatus
from app.recorder.transcript import Transcript
from app.store.writing.record import SegmentAccount
from tests.recorder.frames import ANSWER, Shelf, begin_of, frames_of


class CrashError(Exception):
    """The recorder dies here."""


@dataclass
class ShelfCopy:
    """A carry segment in memory; it is in the world once it is sealed."""

    world: World
    shelf: Shelf

    @property
    def segment(self) -> Segment:
        return self.shelf.segment

    def append(self, frame: Frame) -> int:
        self.world.step()
        return self.shelf.put([frame])[0].offset

    def seal(self) -> None:
        self.world.step()
        self.world.shelves.append(self.shelf)
        self.shelf.segment.is_finished = True
        self.world.step()

    def abandon(self) -> None:
        """Nothing of it is anywhere."""


@dataclass
class World:
    """The files of a journal, the rows of a database, and a recorder that dies at a given step."""

    shelves: list[Shelf] = field(default_factory=list)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    accounts: dict[tuple[int, bool], SegmentAccount] = field(default_factory=dict)
    assembler: Assembler = field(default_factory=Assembler)
    steps_left: int = -1
    counter: int = 0

    def step(self) -> None:
        self.steps_left -= 1
        if self.steps_left == 0:
            raise CrashError

    def new_shelf(self, *, is_carry: bool) -> Shelf:
        self.counter += 1
        shelf = Shelf(self.counter, is_carry=is_carry)
        shelf.segment.wall_ns = wall_ns() - carry.OLD_NS
        if not is_carry:
            self.shelves.append(shelf)
        return shelf

    def begin(self) -> ShelfCopy:
        self.step()
        return ShelfCopy(self, self.new_shelf(is_carry=True))

    def write(self, frame: Frame) -> None:
        shelf = [each for each in self.shelves if not each.is_carry][-1]
        for placed in shelf.put([frame]):
            self.take(shelf, placed)

    def take(self, shelf: Shelf, frame: Frame) -> None:
        shelf.segment.read_bytes += frame.size_bytes
        transcript = self.assembler.take(shelf.segment, frame)
        if transcript is not None:
            self.rows.setdefault(transcript.id, whole_body(transcript.response_body()))
            self.assembler.settle(transcript, RECORDED)

    def rotate(self) -> None:
        [each for each in self.shelves if not each.is_carry][-1].segment.is_finished = True
        self.new_shelf(is_carry=False)

    def let_go(self) -> None:
        free = [each for each in self.shelves if each.segment.is_free]
        free.sort(key=lambda each: (each.is_carry, each.counter))
        for shelf in free:
            self.accounts.setdefault((shelf.counter, shelf.is_carry), shelf.segment.account())
        self.step()
        for shelf in free:
            self.shelves.remove(shelf)
            shelf.segment.is_gone = True
            self.step()

    def carry(self) -> None:
        segments = [each.segment for each in self.shelves]
        originals = {each for each in segments if is_pinned(each, self.assembler)}
        originals = {each for each in originals if not each.is_carry or is_mostly_dead(each, self.assembler)}
        asyncio.run(Carrier(self, 1 << 30, RecorderStatus()).carry_from(originals, self.assembler))

    def restart(self) -> None:
        """What a recorder that starts again reads."""
        self.steps_left = -1
        self.assembler = Assembler()
        live = [each for each in self.shelves if not each.is_carry][-1]
        fresh = []
        for old in sorted(self.shelves, key=lambda each: (not each.is_carry, each.counter)):
            shelf = Shelf(old.counter, old.is_carry, frames=old.frames)
            shelf.segment.wall_ns = old.segment.wall_ns
            fresh.append(shelf)
            for frame in list(shelf.frames):
                self.take(shelf, frame)
            shelf.segment.is_finished = old is not live
        self.shelves = fresh
        for transcript in list(self.assembler.open_exchanges()):
            if transcript.id in self.rows:  # its END was in a segment that is gone
                self.assembler.settle(transcript, RECORDED)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_carried_and_wherever_it_crashes_nothing_is_lost_or_counted_twice(seed: int) -> None:
    for number in range(20):
        run_random(random.Random(seed * 1_000 + number))


def run_random(chance: random.Random) -> None:
    """Writes exchanges with carries, restarts and crashes between them, then looks at rows and accounts."""
    world = World()
    world.new_shelf(is_carry=False)
    number = chance.randint(1, 5)
    exchanges = [
        frames_of(
            begin_of(n),
            *(b"q", bytes([n + 65]) * (20 * n + 8), 3 * n + 2),
            exchange_id=bytes(15) + bytes([n + 1]),
        )
        for n in range(number)
    ]
    queues = [list(each) for each in exchanges]
    while any(queues):
        queue = chance.choice([each for each in queues if each])
        for _ in range(chance.randint(1, 4)):
            if queue:
                world.write(queue.pop(0))
        action = chance.choice(["", "", "rotate", "rotate", "carry", "let_go", "restart"])
        world.steps_left = chance.choice([-1, chance.randint(1, 30)])
        try:
            if action:
                getattr(world, action)()
        except CrashError:
            world.restart()
        world.steps_left = -1
    world.restart()
    world.rotate()
    world.let_go()
    assert not [each for each in world.shelves if each.segment.open]
    for frames in exchanges:
        answer = b"".join(each.payload for each in frames if each.kind == FrameType.RESPONSE_CHUNK)
        assert world.rows[frames[0].exchange_id] == answer
    accounts = world.accounts.values()
    first_seen = [each for each in accounts if each.first_accept_number is not None]
    assert sum(each.recorded + each.carried for each in first_seen) == number
    assert sum(each.recorded for each in accounts) == number


def open_exchanges(world: World, number: int) -> list[list[Frame]]:
    world.new_shelf(is_carry=False)
    exchanges = [frames_of(begin_of(n), pieces=6) for n in range(number)]
    for place in range(5):
        for frames in exchanges:
            world.write(frames[place])
    world.rotate()
    return exchanges


def test_a_long_stream_leaves_its_segment_and_ends_in_its_copy() -> None:
    world = World()
    exchanges = open_exchanges(world, 3)
    original = world.shelves[0]
    world.carry()
    assert original.segment.is_free
    assert original.segment.counts == {CARRIED: 3}
    copy = next(each for each in world.shelves if each.is_carry)
    assert [each.exchange_id for each in copy.frames] == sorted(each.exchange_id for each in copy.frames)
    world.let_go()
    assert original not in world.shelves
    for frames in exchanges:
        for frame in frames[5:]:
            world.write(frame)
    assert sorted(world.rows.values()) == [ANSWER] * 3
    assert copy.segment.is_free
    assert copy.segment.account().recorded == 3


async def test_only_what_is_old_or_large_and_held_by_open_exchanges_alone_is_carried() -> None:
    world = World()
    open_exchanges(world, 2)
    status = RecorderStatus()
    segments = [each.segment for each in world.shelves]
    segments[0].wall_ns = wall_ns()
    assert await Carrier(world, 1 << 30, status).carry(segments, world.assembler) == []
    transcript = next(world.assembler.open_exchanges())
    transcript.end = End("completed", None, None, 0, 0, True)
    assert await Carrier(world, 0, status).carry(segments, world.assembler) == []
    transcript.end = None
    assert len(await Carrier(world, 0, status).carry(segments, world.assembler)) == 1
    assert status.carried == 2


async def test_many_small_copies_become_one() -> None:
    world = World()
    world.new_shelf(is_carry=False)
    frames = frames_of(answer=b"x" * 100, pieces=100)
    for frame in frames[:-1]:
        world.write(frame)
        world.rotate()
        carrier = Carrier(world, 0, RecorderStatus())
        await carrier.carry([each.segment for each in world.shelves], world.assembler)
        world.let_go()
        assert len(world.shelves) <= carry.MOST_SMALL + 2
    world.write(frames[-1])
    assert world.rows == {frames[0].exchange_id: b"x" * 100}


async def test_an_error_while_carrying_leaves_all_where_it_was() -> None:
    class FullDisk(World):
        def step(self) -> None:
            self.steps_left -= 1
            if self.steps_left == 0:
                raise OSError(28, "No space left on device")

    world = FullDisk()
    open_exchanges(world, 2)
    world.steps_left = 7
    segments = [each.segment for each in world.shelves]
    assert await Carrier(world, 0, RecorderStatus()).carry(segments, world.assembler) == []
    assert len(segments[0].open) == 2
    assert segments[0].counts == {}
    assert all(isinstance(each, Transcript) for each in world.assembler.open_exchanges())
