"""A search finds every exchange that says the words, and no other, in whatever state the index is."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence

import pytest

from app.clock import utc_from_ns
from app.store.database.periods import period_of
from app.store.database.pool import Pool
from app.store.filters.filter import HIGHEST_ID, LOWEST_ID, Order
from app.store.search import searching
from app.store.search.building import Builder
from app.store.search.folding import fold
from app.store.search.searching import Found, Search, Wanted
from app.store.search.terms import Terms
from app.store.writing.ingest import Ingest
from app.store.writing.record import Record
from tests.store.database.test_partitions import DAY
from tests.store.samples import NOON_NS
from tests.store.search.corpus import SECOND_NS, exchanges, saying, substring

pytestmark = pytest.mark.timeout(180)  # each fills a record, and scans it to compare
WEEK = period_of("week", DAY)


async def find(
    pool: Pool,
    *words: str,
    unwanted: Sequence[str] = (),
    low: uuid.UUID = LOWEST_ID,
    high: uuid.UUID = HIGHEST_ID,
    limit: int = 1_000_000,
    order: Order = "desc",
    budget_seconds: float = 30.0,
) -> Found:
    terms = Terms([fold(each) for each in words], [fold(each) for each in unwanted])
    async with pool.transaction(readonly=True) as connection:
        wanted = Wanted(terms, [1], low, high, limit, order, budget_seconds=budget_seconds)
        return await Search().find(connection, wanted)


async def close(pool: Pool) -> int:
    """Closes all of the tail."""
    closed = 0
    while await Builder(pool).close_segment(1, WEEK, is_over=True):
        closed += 1
    return closed


def scan(records: Sequence[Record], *words: str, unwanted: Sequence[str] = ()) -> list[uuid.UUID]:
    """What a search has to find, the newest first."""
    found = []
    for each in records:
        assert each.content is not None
        said = [fold(message) for message in each.content.said]
        wanted = all(any(fold(word) in message for message in said) for word in words)
        if wanted and not any(fold(word) in message for word in unwanted for message in said):
            found.append(uuid.UUID(bytes=each.id))
    return sorted(found, reverse=True)


async def filled(pool: Pool, ingest: Ingest, chance: random.Random) -> list[Record]:
    """1,600 exchanges in nine segments, eight of them merged, and 200 in the tail; some came late."""
    records = exchanges(chance, 1_800)
    late = [each for each in records if chance.random() < 0.05]
    late_ids = {each.id for each in late}
    order = [each for each in records if each.id not in late_ids]
    for place in range(0, 1_600, 178):
        await ingest.deliver(order[place : place + 178])
        if place >= 178 * 4:
            await ingest.deliver([late.pop() for _ in range(min(4, len(late)))])
        await close(pool)
    await Builder(pool).merge_segments(utc_from_ns(NOON_NS))
    await ingest.deliver([*order[1_602:], *late])
    return records


async def test_random_substrings_in_all_scripts_find_their_exchange(pool: Pool, ingest: Ingest) -> None:
    chance = random.Random(20261118)
    records = await filled(pool, ingest, chance)
    async with pool.transaction(readonly=True) as connection:
        levels = await connection.fetch("SELECT level, count(*) FROM search_segments GROUP BY 1 ORDER BY 1")
        assert [(row["level"], row["count"]) for row in levels] == [(0, 1), (1, 1)]
    missed = []
    for number in range(2_000):
        exchange, word = substring(chance, records)
        found = await find(pool, word)
        if exchange not in found.ids:
            missed.append(word)
        if number % 20 == 0:
            assert found.ids == scan(records, word), repr(word)
    assert missed == []


async def test_several_words_are_all_said_and_unwanted_ones_not(pool: Pool, ingest: Ingest) -> None:
    chance = random.Random(7)
    records = await filled(pool, ingest, chance)
    for _ in range(60):
        words = [substring(chance, records)[1] for _ in range(2)]
        _, third = substring(chance, records)
        assert (await find(pool, *words)).ids == scan(records, *words)
        assert (await find(pool, words[0], unwanted=[third])).ids == scan(records, words[0], unwanted=[third])
    # In one exchange, though not in one message.
    both = saying("eine Katze", "ein Hund", at_ns=NOON_NS + 9_000 * SECOND_NS)
    await ingest.deliver([both])
    for _ in range(2):
        assert (await find(pool, "KATZE", "hund")).ids == [uuid.UUID(bytes=both.id)]
        assert (await find(pool, "katze", unwanted=["hund"])).ids == []
        await close(pool)


@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_pages_hold_every_hit_once_and_in_order(
    pool: Pool, ingest: Ingest, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "FIRST_LOOKED_AT", 1)  # a segment at a time
    monkeypatch.setattr(searching, "FIRST_BLOCKS", 2)
    records = await filled(pool, ingest, random.Random(3))
    wanted = scan(records, "ab")
    assert len(wanted) > 100
    low, high = LOWEST_ID, HIGHEST_ID
    ids: list[uuid.UUID] = []
    while True:
        found = await find(pool, "ab", low=low, high=high, limit=13, order=order)
        ids += found.ids
        assert len(found.ids) <= 13
        if not found.has_more:
            break
        last = found.resume_after or found.ids[-1]
        low, high = (low, last) if order == "desc" else (uuid.UUID(int=last.int + 1), high)
    assert ids == (wanted if order == "desc" else wanted[::-1])


async def test_a_search_that_takes_too_long_goes_on_from_where_it_was(pool: Pool, ingest: Ingest) -> None:
    records = await filled(pool, ingest, random.Random(4))
    _, word = substring(random.Random(5), records[:300])
    ids: list[uuid.UUID] = []
    high, pages = HIGHEST_ID, 0
    while pages < 200:
        pages += 1
        found = await find(pool, word, high=high, budget_seconds=0.0)
        ids += found.ids
        if not found.has_more:
            break
        high = found.resume_after or found.ids[-1]
    assert ids == scan(records, word)


async def test_a_damaged_signature_costs_time_and_no_hit(pool: Pool, ingest: Ingest) -> None:
    chance = random.Random(6)
    records = await filled(pool, ingest, chance)
    async with pool.transaction() as connection:
        await connection.execute("DELETE FROM search_sig WHERE level = 0 AND stripe = 3")
        await connection.execute("UPDATE search_sig SET bits = substr(bits, 1, 999) WHERE level = 1")
        await connection.execute("UPDATE search_segments SET block_ids = '' WHERE level = 1")
    for _ in range(20):
        _, word = substring(chance, records)
        assert (await find(pool, word)).ids == scan(records, word)
    async for done in Builder(pool).rebuild():
        assert done.done <= done.groups
    async with pool.transaction(readonly=True) as connection:
        good = "SELECT bool_and(octet_length(bits) = 8192 * 1024) FROM search_sig WHERE level = 1"
        assert await connection.fetchval(good)
    for _ in range(20):
        _, word = substring(chance, records)
        assert (await find(pool, word)).ids == scan(records, word)


async def test_one_character_and_letters_that_fold_to_two_are_found(pool: Pool, ingest: Ingest) -> None:
    made = saying("Straße Ω İstanbul ﬁn", "龙", at_ns=NOON_NS)
    await ingest.deliver([made])
    for _ in range(2):
        for word in ("龙", "strasse", "STRASSE", "ω", "FIN", "İstanbul"):
            assert (await find(pool, word)).ids == [uuid.UUID(bytes=made.id)], word
        assert await close(pool) <= 1


async def test_what_is_delivered_again_is_found_once(pool: Pool, ingest: Ingest) -> None:
    made = saying("only once")
    await ingest.deliver([made])
    await ingest.deliver([made])
    await close(pool)
    await ingest.deliver([made])
    assert (await find(pool, "only once")).ids == [uuid.UUID(bytes=made.id)]
    async with pool.transaction(readonly=True) as connection:
        assert await connection.fetchval("SELECT count(*) FROM search_tail") == 0
        assert await connection.fetchval("SELECT count(*) FROM search_text") == 1
