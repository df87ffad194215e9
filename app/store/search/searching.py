"""Finds exchanges by what was said, in the order of their ids.

Three kinds of sources are read in the order in which they may still hold what is wanted next: the tail; segments, a few
more at each step, whose signatures tell which blocks may hold the words; and these blocks, which are verified. What was
found is final once no source may hold anything before it. A search that takes too long says how far it is.
"""

from __future__ import annotations

import datetime
import itertools
import uuid
from array import array
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.clock import monotonic_ns
from app.store.database.periods import week_of_id
from app.store.filters.filter import Order
from app.store.search.candidates import Bounds, Place, Segment, candidates
from app.store.search.packing import prefix_of
from app.store.search.signature import BLOCKS, rows_of
from app.store.search.terms import Terms
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection

BUDGET_SECONDS = 2.0
FIRST_LOOKED_AT, MOST_LOOKED_AT = 12 * BLOCKS, 512 * BLOCKS
"""Blocks whose signatures are looked at in one step."""
MANY_BLOCKS = 1_000
"""Where so many of these may hold the words, a page is soon full: the next step is no larger."""
FIRST_BLOCKS, MOST_BLOCKS = 24, 512
TAIL_CHUNK = 100

Accept = Callable[[list[uuid.UUID]], Awaitable[set[uuid.UUID]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for: words, in which projects, from id `low` to before `high`."""

    terms: Terms
    project_ids: Sequence[int]
    low: uuid.UUID
    high: uuid.UUID
    limit: int
    order: Order = "desc"
    accept: Accept | None = None
    """Which of some exchanges are wanted beside; None takes all."""
    budget_seconds: float = BUDGET_SECONDS


@dataclass(frozen=True, slots=True)
class Found:
    """Exchanges in order."""

    ids: list[uuid.UUID]
    has_more: bool
    """More may be found."""
    resume_after: uuid.UUID | None = None
    """The budget was used up: a search goes on after this id; all before was looked at."""


Block = tuple[int, int, Place]
"""Its rank, its number, where it is. There may be a hundred thousand."""


class Search:
    """Searches one database."""

    def __init__(self) -> None:
        self._bounds = Bounds()

    async def find(self, connection: Connection, wanted: Wanted) -> Found:
        """One page; in a reading transaction, whose planner it sets up for itself."""
        await connection.execute(statements("search")["limit_searching"])
        return await _Run(connection, wanted, self._bounds).run()

    async def among(
        self, connection: Connection, project_id: int, terms: Terms, ids: Sequence[uuid.UUID]
    ) -> set[uuid.UUID]:
        """Which of these exchanges say the words: for filters that leave few, up to some thousand."""
        await connection.execute(statements("search")["limit_searching"])
        return await among(connection, project_id, terms, ids)


class _Run:
    """One search."""

    def __init__(self, connection: Connection, wanted: Wanted, bounds: Bounds) -> None:
        self._connection = connection
        self._wanted = wanted
        self._bounds = bounds
        self._sql = statements("search")
        self._sign = 1 if wanted.order == "desc" else -1
        self._words = [*wanted.terms.wanted, *wanted.terms.unwanted]
        by_turns = itertools.zip_longest(*map(rows_of, wanted.terms.wanted))
        self._rows = list(dict.fromkeys(row for each in by_turns for row in each if row is not None))
        self._tails: dict[int, tuple[uuid.UUID, uuid.UUID]] = {
            each: (wanted.low, wanted.high) for each in wanted.project_ids
        }
        """Projects whose tail is not read to its end, and the ids between which it is not read."""
        self._segments: list[Segment] = []
        """Those that were not looked at yet, the next one last."""
        self._blocks: list[Block] = []
        """Those that were not verified yet, the next one last."""
        self._hits: set[uuid.UUID] = set()
        self._looked_at_step, self._blocks_step = FIRST_LOOKED_AT, FIRST_BLOCKS

    async def run(self) -> Found:
        wanted = self._wanted
        deadline = monotonic_ns() + int(wanted.budget_seconds * 1e9)
        self._segments = await self._all_segments()
        begun = prefix_of(wanted.high) if self._sign > 0 else -prefix_of(wanted.low)
        while (bound := self._bound()) is not None:
            if sum(self._rank(each) > bound for each in self._hits) > wanted.limit:
                break
            # A page comes further than where it began (the next one would begin one rank above the bound).
            if bound < begun - 1 and monotonic_ns() > deadline:
                break
            await self._step(bound)
        final = sorted(self._hits, reverse=wanted.order == "desc")
        if bound is not None:
            final = [each for each in final if self._rank(each) > bound]
        has_more = bound is not None or len(final) > wanted.limit
        if bound is None or len(final) > wanted.limit:
            return Found(final[: wanted.limit], has_more)
        return Found(final, has_more, self._resume_after(bound))

    def _rank(self, exchange_id: uuid.UUID) -> int:
        return prefix_of(exchange_id) * self._sign

    def _bound(self) -> int | None:
        """The highest rank that something which was not looked at may have; None where all was."""
        ranks = [self._tail_rank(each) for each in self._tails]
        if self._segments:
            ranks.append(self._segment_rank(self._segments[-1]))
        if self._blocks:
            ranks.append(self._blocks[-1][0])
        return max(ranks) if ranks else None

    def _tail_rank(self, project_id: int) -> int:
        low, high = self._tails[project_id]
        return prefix_of(high) if self._sign > 0 else -prefix_of(low)

    def _segment_rank(self, segment: Segment) -> int:
        return segment.last if self._sign > 0 else -segment.first

    def _resume_after(self, bound: int) -> uuid.UUID:
        if self._sign > 0:
            return min(uuid.UUID(int=min(bound + 1, (1 << 64) - 1) << 64), self._wanted.high)
        return uuid.UUID(int=max((-bound << 64) - 1, 0))

    async def _step(self, bound: int) -> None:
        """Reads on where the highest rank is."""
        for project_id in self._tails:
            if self._tail_rank(project_id) == bound:
                await self._read_tail(project_id)
                return
        if self._blocks and self._blocks[-1][0] == bound:
            await self._verify()
        else:
            await self._look_at_segments()

    async def _read_tail(self, project_id: int) -> None:
        low, high = self._tails[project_id]
        most = max(TAIL_CHUNK, self._wanted.limit + 1)
        name = "newest" if self._sign > 0 else "oldest"
        # Each text is looked at for one word; the others are looked for in the exchanges that say it.
        word = max(self._wanted.terms.wanted, key=len)
        rows = await self._connection.fetch(self._sql[f"tail_{name}"], project_id, word, low, high, most)
        ids = [row["exchange_id"] for row in rows]
        wanted: Sequence[uuid.UUID] = ids
        if len(self._words) > 1:
            wanted = list(await among(self._connection, project_id, self._wanted.terms, ids))
        await self._accept(wanted)
        if len(ids) < most:
            del self._tails[project_id]
        elif self._sign > 0:
            self._tails[project_id] = (low, ids[-1])
        else:
            self._tails[project_id] = (uuid.UUID(int=ids[-1].int + 1), high)

    async def _all_segments(self) -> list[Segment]:
        wanted = self._wanted
        weeks = (week_of_id(wanted.low.bytes), _week_of(wanted.high))
        rows = await self._connection.fetch(
            self._sql["segments"], list(wanted.project_ids), *weeks, wanted.low, wanted.high
        )
        segments = [
            Segment(
                (row["project_id"], row["week"]),
                *(row["segment"], row["level"], row["blocks"]),
                *(prefix_of(row["first_id"]), prefix_of(row["last_id"])),
            )
            for row in rows
        ]
        return sorted(segments, key=self._segment_rank)

    async def _look_at_segments(self) -> None:
        """Adds the blocks of the next segments that may hold the words."""
        taken = [self._segments.pop()]
        left = self._looked_at_step - taken[0].blocks
        while self._segments and (left := left - self._segments[-1].blocks) >= 0:
            taken.append(self._segments.pop())
        found = zip(taken, await candidates(self._connection, taken, self._rows), strict=True)
        held = [(segment, blocks) for segment, blocks in found if blocks]
        bounds = await self._bounds.of(self._connection, [segment for segment, _ in held])
        before = len(self._blocks)
        for (segment, blocks), of_blocks in zip(held, bounds, strict=True):
            self._blocks += self._ranked(segment, blocks, of_blocks)
        if len(self._blocks) - before < MANY_BLOCKS:
            self._looked_at_step = min(MOST_LOOKED_AT, self._looked_at_step * 3)
        self._blocks.sort()

    def _ranked(self, segment: Segment, blocks: Sequence[int], bounds: array[int]) -> list[Block]:
        """Those of some blocks that may hold wanted ids."""
        if len(bounds) < 2 * segment.blocks:
            bounds = array("Q", (segment.first, segment.last)) * segment.blocks
        low, high = prefix_of(self._wanted.low), prefix_of(self._wanted.high)
        first, place = segment.number * BLOCKS, segment.place
        spans = [(bounds[2 * each], bounds[2 * each + 1], each) for each in blocks]
        if self._sign > 0:
            return [(end, first + each, place) for begin, end, each in spans if end >= low and begin <= high]
        return [(-begin, first + each, place) for begin, end, each in spans if end >= low and begin <= high]

    async def _verify(self) -> None:
        """Reads the next blocks."""
        taken = [self._blocks.pop() for _ in range(min(self._blocks_step, len(self._blocks)))]
        hits = len(self._hits)
        groups: dict[Place, list[int]] = {}
        for _, number, place in taken:
            groups.setdefault(place, []).append(number)
        for place, numbers in groups.items():
            bounds = (self._wanted.low, self._wanted.high)
            parameters: tuple[Any, ...]
            if len(self._words) == 1:
                name, parameters = "verify_one", (self._words[0], *bounds)
            else:
                name = "verify_many"
                parameters = (self._words, *bounds, len(self._wanted.terms.wanted))
            rows = await self._connection.fetch(self._sql[name], *place, numbers, *parameters)
            await self._accept([row["exchange_id"] for row in rows])
        missing = self._wanted.limit + 1 - len(self._hits)
        most = min(MOST_BLOCKS, 3 * len(taken))
        if found := len(self._hits) - hits:
            # As many as will hold what is missing and a quarter more, if they are like these.
            most = min(most, 5 * missing * len(taken) // (4 * found))
        self._blocks_step = max(FIRST_BLOCKS, most)

    async def _accept(self, ids: Sequence[uuid.UUID]) -> None:
        new = [each for each in dict.fromkeys(ids) if each not in self._hits]
        if new:
            self._hits.update(await self._wanted.accept(new) if self._wanted.accept else new)


async def among(
    connection: Connection, project_id: int, terms: Terms, ids: Sequence[uuid.UUID]
) -> set[uuid.UUID]:
    """Which of these exchanges say the words; the planner keeps to indexes already."""
    if not ids:
        return set()
    weeks = (week_of_id(min(ids).bytes), week_of_id(max(ids).bytes))
    words = [*terms.wanted, *terms.unwanted]
    rows = await connection.fetch(
        statements("search")["among"],
        *(project_id, sorted(set(ids)), words, len(terms.wanted), *weeks),
    )
    return {row["exchange_id"] for row in rows}


def _week_of(end: uuid.UUID) -> datetime.date:
    """The week of the last id before one, where dates end there for ids that are above all."""
    try:
        return week_of_id(end.bytes)
    except OverflowError:
        return datetime.date.max
