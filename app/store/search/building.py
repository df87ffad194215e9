"""Closes segments of the tail, merges them, and makes signatures anew; for the builder's process and the command line.

One builder works at a time, whoever runs it. What it reads is bounded, and what it does is one transaction a segment:
wherever it is stopped, every text is either in the tail or in a segment with its signature.
"""

from __future__ import annotations

import asyncio
import datetime
import uuid
from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.clock import utc_now
from app.errors import StoreUnavailableError
from app.store.database.partitions import period_named
from app.store.database.periods import Period, lowest_id, period_of, week_number, week_of_day
from app.store.database.pool import Pool
from app.store.search.packing import Packed, Text, decode_bounds, pack, repack, text_hash
from app.store.search.signature import BLOCKS, FIRST_STRIPE, MERGED, ROWS_PER_BLOCK, STRIPE_ROWS, STRIPES
from app.store.statements import statements

if TYPE_CHECKING:
    from app.store.database.pool import Connection

TAKE_ROWS = BLOCKS * ROWS_PER_BLOCK
TAKE_BYTES = 48 << 20
"""Text that is held at a time, as bytes; one text more where it is longer."""
LIKELY_ROWS = TAKE_ROWS * 3 // 5
LIKELY_BYTES = 12 << 20
"""With as many a tail may fill a segment."""
BUSY_SECONDS = 0.5
LEFT_ROWS = 512
"""Fewer are left in the tail of a week that is over."""
OVER = datetime.timedelta(hours=1)
"""How long after its end a week is over: exchanges that began in it may still end."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A segment that was closed."""

    segment: int
    texts: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How far a rebuild is."""

    done: int
    groups: int
    """In all; a group is what may be merged to one."""


class Builder:
    """Builds in one database; its errors are StoreErrors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("search")

    async def run_once(self, now: datetime.datetime) -> int:
        """Closes every segment that is full, and merges what may be; gives how many it closed."""
        closed = 0
        for project_id, period in await self._candidates(now):
            while await self.close_segment(project_id, period, is_over=_is_over(period, now)):
                closed += 1
        while await self.sign_again():
            pass
        while await self.merge_segments(now):
            pass
        return closed

    async def has_work(self, now: datetime.datetime) -> bool:
        """Whether a segment may be closed or merged, or is to be signed anew."""
        if await self._candidates(now):
            return True
        async with self._pool.transaction(readonly=True) as connection:
            if await connection.fetchrow(self._sql["to_sign_again"], FIRST_STRIPE) is not None:
                return True
            return await connection.fetchrow(self._sql["mergeable"], _this_week(now)) is not None

    async def close_segment(self, project_id: int, period: Period, *, is_over: bool) -> Closed | None:
        """Closes the oldest full segment of a week's tail, or what is left where the week is over; None where there is
        none, or another builder is at work."""
        async with self._pool.transaction() as connection:
            if not await connection.fetchval(self._sql["lock_building"]):
                return None
            rows = await connection.fetch(
                self._sql["take"], project_id, period.first_id, period.end_id, TAKE_ROWS, TAKE_BYTES
            )
            texts = [Text(row["exchange_id"], row["message"], row["folded"]) for row in rows]
            was_cut = len(texts) == TAKE_ROWS or _bytes_at_most(texts) >= TAKE_BYTES
            if was_cut:
                texts = await self._whole(connection, project_id, texts, period)
            packed = pack(texts)
            if not packed.texts or not (packed.is_full or was_cut or is_over):
                return None
            stripes = await asyncio.to_thread(_sign, packed)
            return await self._write(connection, project_id, period.first_day, packed, stripes)

    async def sign_again(self) -> bool:
        """Makes signatures anew that have bits of erased texts, or a former layout, eight segments at a time; False
        where there are none, or another builder is at work."""
        async with self._pool.transaction(readonly=True) as connection:
            place = await connection.fetchrow(self._sql["to_sign_again"], FIRST_STRIPE)
        return place is not None and await self._rebuild(
            (place["project_id"], place["week"]), place["segment"]
        )

    async def merge_segments(self, now: datetime.datetime) -> bool:
        """Merges eight segments to one, or what a week that is over has left; False where there are none, some wait
        to be signed anew, or another builder is at work."""
        async with self._pool.transaction() as connection:
            if not await connection.fetchval(self._sql["lock_building"]):
                return False
            if await connection.fetchrow(self._sql["to_sign_again"], FIRST_STRIPE) is not None:
                return False
            place = await connection.fetchrow(self._sql["mergeable"], _this_week(now))
            if place is None:
                return False
            await self._merge(connection, (place["project_id"], place["week"]), place["segment"])
        return True

    async def rebuild(self) -> AsyncIterator[Rebuilt]:
        """Makes every signature anew from the texts that are there, a segment at a time, and says how far it is."""
        async with self._pool.transaction(readonly=True) as connection:
            segments = await connection.fetch(self._sql["all_segments"])
        yield Rebuilt(0, len(segments))
        for number, row in enumerate(segments, 1):
            while not await self._rebuild((row["project_id"], row["week"]), row["segment"]):
                await asyncio.sleep(BUSY_SECONDS)
            yield Rebuilt(number, len(segments))
        while await self.merge_segments(utc_now()):
            pass

    async def _candidates(self, now: datetime.datetime) -> list[tuple[int, Period]]:
        """Weeks whose tail may fill a segment, or that are over."""
        async with self._pool.transaction(readonly=True) as connection:
            names = await connection.fetch(self._sql["tails"])
            weeks = [period_named("search_tail", each["partition_name"]) for each in names]
            # A tail that grew while no builder came by may be gigabytes.
            await connection.execute(self._sql["limit_searching"])
            rows = await connection.fetch(
                self._sql["waiting"],
                *([each.first_id for each in weeks], [each.end_id for each in weeks], LIKELY_ROWS),
            )
        found = []
        for row in rows:
            period = weeks[row["number"] - 1]
            is_likely = row["texts"] >= LIKELY_ROWS or row["size_bytes"] >= LIKELY_BYTES
            is_left = row["texts"] >= LEFT_ROWS and _is_over(period, now)
            if is_likely or is_left:
                found.append((row["project_id"], period))
        return sorted(found, key=lambda each: (each[0], each[1].first_day))

    async def _whole(
        self, connection: Connection, project_id: int, texts: list[Text], period: Period
    ) -> list[Text]:
        """The texts without those of the last exchange, of which more may be waiting."""
        last = texts[-1].exchange_id
        whole = [each for each in texts if each.exchange_id != last]
        if whole:
            return whole
        # One exchange that is longer than what is held at a time.
        rows = await connection.fetch(
            self._sql["take"], project_id, last, period.end_id, ROWS_PER_BLOCK, 1 << 62
        )
        return [
            Text(row["exchange_id"], row["message"], row["folded"])
            for row in rows
            if row["exchange_id"] == last
        ]

    async def _write(
        self,
        connection: Connection,
        project_id: int,
        week: datetime.date,
        packed: Packed,
        stripes: Sequence[bytes],
    ) -> Closed:
        await self._lock_week(connection, project_id, week)
        segment: int = await connection.fetchval(self._sql["next_segment"], project_id, week)
        ids = [segment * TAKE_ROWS + place for place in packed.places]
        hashes = [text_hash(each.folded) for each in packed.texts]
        holders = await self._holders(connection, project_id, week, packed, hashes)
        exchanges = [each.exchange_id for each in packed.texts]
        moved = await connection.execute(
            self._sql["move"],
            *(project_id, week, exchanges, [each.message for each in packed.texts], ids, hashes),
            *(_same_as(packed, ids, hashes, holders), exchanges[0], exchanges[-1]),
        )
        if int(moved.rsplit(" ", 1)[-1]) != len(ids):
            # Others may point to what is gone: the next try reads the tail again.
            raise StoreUnavailableError("a text was erased while its segment was made")
        await self._add_segment(
            connection, (project_id, week), segment, packed, (exchanges[0], exchanges[-1]), stripes
        )
        if segment == 0:
            # Till autovacuum comes by, the planner takes any index of a new week's texts for the right one.
            name = f"search_text_{period_of('week', week).suffix}"
            await connection.execute(await connection.fetchval(self._sql["analyze_text"], name))
        return Closed(segment, len(ids), len(packed.blocks))

    async def _holders(
        self,
        connection: Connection,
        project_id: int,
        week: datetime.date,
        packed: Packed,
        hashes: Sequence[int | None],
    ) -> dict[str, int]:
        """Rows of the week that have one of these texts."""
        wanted = {each for each in hashes if each is not None}
        rows = await connection.fetch(self._sql["holders"], project_id, week, sorted(wanted))
        return {row["folded"]: row["id"] for row in rows}

    async def _merge(self, connection: Connection, where: tuple[int, datetime.date], first: int) -> None:
        """Merges segments from one to the eighth; there may be fewer, and gaps."""
        await self._lock_week(connection, *where)
        parts = await connection.fetch(self._sql["parts"], *where, first)
        bounds = {each["segment"]: each["block_ids"] for each in parts}
        segments = range(first, max(bounds) + 1)
        await connection.execute(
            self._sql["add_segment"],
            *(*where, first, 1, BLOCKS * len(segments)),
            *(min(each["first_id"] for each in parts), max(each["last_id"] for each in parts)),
            b"".join(_padded(bounds.get(each, b"")) for each in segments),
        )
        for stripe in range(FIRST_STRIPE, FIRST_STRIPE + STRIPES):
            rows = await connection.fetch(self._sql["part_stripes"], *where, first, stripe)
            bits = dict.fromkeys(segments, bytes(STRIPE_ROWS)) | dict.fromkeys(bounds)
            bits |= {row["segment"]: row["bits"] for row in rows}
            merged = await asyncio.to_thread(_merged, list(bits.values()))
            await connection.execute(self._sql["add_stripe"], *where, first, 1, stripe, merged)
        for name in ("drop_segments", "drop_stripes"):
            await connection.execute(self._sql[name], *where, 0, first, first + MERGED)

    async def _rebuild(self, where: tuple[int, datetime.date], first: int) -> bool:
        """Makes eight segments that may be merged anew; False where another builder is at work."""
        async with self._pool.transaction() as connection:
            if not await connection.fetchval(self._sql["lock_building"]):
                return False
            await self._lock_week(connection, *where)
            for level in (0, 1):
                for name in ("drop_segments", "drop_stripes"):
                    await connection.execute(self._sql[name], *where, level, first, first + MERGED)
            for segment in range(first, first + MERGED):
                await self._sign_again(connection, where, segment)
            await connection.execute(self._sql["signed"], *where, first)
        return True

    async def _sign_again(
        self, connection: Connection, where: tuple[int, datetime.date], segment: int
    ) -> None:
        first_row = segment * TAKE_ROWS
        rows = await connection.fetch(self._sql["segment_texts"], *where, first_row, first_row + TAKE_ROWS)
        if not rows:
            return
        packed = repack([(row["id"] - first_row, row["exchange_id"], row["folded"]) for row in rows])
        stripes = await asyncio.to_thread(_sign, packed)
        exchanges = [row["exchange_id"] for row in rows if row["exchange_id"] is not None]
        bounds = (min(exchanges), max(exchanges)) if exchanges else (lowest_id(where[1]),) * 2
        await self._add_segment(connection, where, segment, packed, bounds, stripes)

    async def _add_segment(
        self,
        connection: Connection,
        where: tuple[int, datetime.date],
        segment: int,
        packed: Packed,
        bounds: tuple[uuid.UUID, uuid.UUID],
        stripes: Sequence[bytes],
    ) -> None:
        blocks = len(packed.blocks)
        await connection.execute(
            self._sql["add_segment"], *where, segment, 0, blocks, *bounds, packed.encoded_bounds()
        )
        for stripe, bits in enumerate(stripes, FIRST_STRIPE):
            await connection.execute(self._sql["add_stripe"], *where, segment, 0, stripe, bits)

    async def _lock_week(self, connection: Connection, project_id: int, week: datetime.date) -> None:
        """Shares the week, so that no erasure takes away what a segment is to hold."""
        await connection.execute(statements("ingest")["share_weeks"], [project_id], [week_number(week)])


def _is_over(period: Period, now: datetime.datetime) -> bool:
    return now > datetime.datetime.combine(period.end_day, datetime.time(), datetime.UTC) + OVER


def _this_week(now: datetime.datetime) -> datetime.date:
    """The first week that is not over."""
    return week_of_day((now - OVER).date())


def _merged(stripes: Sequence[bytes | None]) -> bytes:
    from app.store.search.signing import merge

    return merge(stripes, BLOCKS // 8)


def _sign(packed: Packed) -> list[bytes]:
    from app.store.search.signing import sign

    return sign(["\n".join(each) for each in packed.blocks])


def _same_as(
    packed: Packed, ids: Sequence[int], hashes: Sequence[int | None], holders: dict[str, int]
) -> list[int | None]:
    """For each text the row that has it already."""
    same: list[int | None] = []
    for each, row, number in zip(packed.texts, ids, hashes, strict=True):
        holder = holders.setdefault(each.folded, row) if number is not None else row
        same.append(None if holder == row else holder)
    return same


def _padded(block_ids: bytes) -> bytes:
    """The bounds of a segment's blocks, and of blocks that are not there."""
    bounds: array[int] = decode_bounds(block_ids)
    return block_ids[: len(bounds) * 8].ljust(BLOCKS * 16, b"\0")


def _bytes_at_most(texts: Sequence[Text]) -> int:
    return sum(len(each.folded) for each in texts) * 4
