"""What a record is asked, kind by kind, and how long each kind may take."""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from app.clock import utc_now
from app.store.filters.filter import Filter, Order
from app.store.filters.reading import read_filter
from app.store.pages.wanted import Sort
from app.store.reading.query import Query
from app.store.sums.groups import quantiles
from bench import corpus
from bench.loading import Said

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Allowed:
    """Milliseconds that the slowest twentieth of a kind may take; None: nothing is said."""

    words: float | None
    substrings: float | None
    page: float | None
    stats: float | None
    exchange: float | None


MILLION = Allowed(words=50.0, substrings=50.0, page=50.0, stats=100.0, exchange=10.0)
TEN_MILLION = Allowed(words=50.0, substrings=150.0, page=None, stats=None, exchange=None)
MANY = 2_000_000
"""Exchanges of a record that is held to what is allowed at ten million."""
SIZES = (2, 3, 5, 10, 20)
LIMIT = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one question gave."""

    hits: int
    is_late: bool = False
    """It ran into its time budget."""


Ask = Callable[[], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Kind:
    """Questions of one kind: each call of `make` gives another."""

    name: str
    limit_ms: float | None
    make: Callable[[], Ask]


class Questions:
    """All kinds over one record, from what is known to be said in it."""

    def __init__(
        self, query: Query, chance: random.Random, sample: list[Said], allowed: Allowed = MILLION
    ) -> None:
        self._query = query
        self._allowed = allowed
        self._chance = chance
        self._sample = sample

    def kinds(self) -> Iterator[Kind]:
        """Pages, filters, JSON paths, words, substrings, sums, single exchanges."""
        yield from self._pages()
        yield from self._filters()
        yield from self._words()
        for size in SIZES:
            yield self._substrings(f"q ASCII, {size}", size, str.isascii)
            yield self._substrings(f"q Chinese, {size}", size, _is_chinese)
            yield self._substrings(f"q any, {size}", size, bool)
        yield from self._sums()
        allowed = self._allowed.exchange
        yield Kind("one exchange", allowed, lambda: self._exchange(with_bodies=False))
        yield Kind("one exchange, both bodies", allowed, lambda: self._exchange(with_bodies=True))

    def _pages(self) -> Iterator[Kind]:
        yield self._list("newest")
        yield self._list("oldest", order="asc")
        yield Kind(
            "deep in the list",
            self._allowed.page,
            lambda: self._page(Filter(), self._chance.choice(self._sample)[0]),
        )
        yield self._list("slowest", sort="duration_ms")
        yield self._list("most tokens", sort="total_tokens")
        yield self._list("dearest", sort="cost")
        yield self._list("cheapest", sort="cost", order="asc")

    def _filters(self) -> Iterator[Kind]:
        chance = self._chance
        yield self._list("model", lambda: [("model", f"model-{chance.randrange(20)}")])
        yield self._list("user", lambda: [("user", f"user-{chance.randrange(corpus.USERS)}")])
        yield self._list("key", lambda: [("key", f"{chance.randrange(40):016x}")])
        yield self._list("status=429", lambda: [("status", "429")])
        yield self._list("outcome=client_left", lambda: [("outcome", "client_left")])
        yield self._list("tag", lambda: [("tag.team", chance.choice(corpus.TEAMS))])
        yield self._list(
            "conversation", lambda: [("conversation", f"c{chance.randrange(200)}-{chance.randrange(9)}")]
        )
        yield self._list(
            "model + status", lambda: [("model", f"model-{chance.randrange(5)}"), ("status", "429")]
        )
        finish = "response.choices[0].finish_reason"
        yield self._list("finish_reason, a path", lambda: [(finish, "length")])
        yield self._list(
            "temperature, a path", lambda: [("request.temperature", f"0.{chance.randrange(1, 10)}")]
        )
        yield self._list("temperature > 0.7", lambda: [("request.temperature>0.7", "")])
        yield self._list("a path that nobody has", lambda: [("request.no_such_field", "1")])

    def _words(self) -> Iterator[Kind]:
        chance = self._chance
        for name, words in (
            ("q common word", corpus.COMMON),
            ("q rare word", corpus.RARE),
            ("q unique word", corpus.UNIQUE),
            ("q absent word", corpus.ABSENT),
            (f"q rare {corpus.RARE_CHINESE}", corpus.RARE_CHINESE),
            (f"q absent {corpus.ABSENT_CHINESE}", corpus.ABSENT_CHINESE),
            ("q two words", f"{corpus.RARE} {corpus.COMMON}"),
            ("q word -word", f"{corpus.RARE} -{corpus.COMMON}"),
        ):
            yield self._list(name, _always([("q", words)]))
        yield self._list(
            "q + user", lambda: [("q", corpus.COMMON), ("user", f"user-{chance.randrange(corpus.USERS)}")]
        )
        yield self._list("q + model", lambda: [("q", corpus.RARE), ("model", "model-0")])

    def _sums(self) -> Iterator[Kind]:
        month = [("since", "30d")]
        for groups in (
            ("day", "model"),
            ("hour", "outcome"),
            ("model", "key"),
            ("day", "user"),
            ("day", "tag.team"),
        ):
            yield Kind(
                f"stats {' by '.join(groups)}", self._allowed.stats, _always(self._stats(month, groups))
            )

    def _list(
        self,
        name: str,
        pairs: Callable[[], list[tuple[str, str]]] = list,
        order: Order = "desc",
        sort: Sort = "started_at",
    ) -> Kind:
        def make() -> Ask:
            return self._page(read_filter(pairs(), utc_now()), None, order, sort)

        allowed = self._allowed.words if name.startswith("q ") else self._allowed.page
        return Kind(name, allowed, make)

    def _substrings(self, name: str, size: int, is_wanted: Callable[[str], bool]) -> Kind:
        def make() -> Ask:
            while True:
                _, text = self._chance.choice(self._sample)
                begin = self._chance.randrange(max(1, len(text) - size))
                found = text[begin : begin + size]
                if len(found) == size and '"' not in found and found.strip() and is_wanted(found):
                    return self._page(Filter(q=f'"{found}"'))

        return Kind(name, self._allowed.substrings, make)

    def _page(
        self, wanted: Filter, after: uuid.UUID | None = None, order: Order = "desc", sort: Sort = "started_at"
    ) -> Ask:
        async def ask() -> Outcome:
            page = await self._query.list_exchanges(wanted, LIMIT, after, order, sort)
            return Outcome(len(page.exchanges), page.resume_after is not None)

        return ask

    def _stats(self, pairs: list[tuple[str, str]], groups: tuple[str, ...]) -> Ask:
        async def ask() -> Outcome:
            stats = await self._query.stats.read(read_filter(pairs, utc_now()), groups)
            quantiles([each.sums for each in stats.groups])
            return Outcome(len(stats.groups), not stats.is_complete)

        return ask

    def _exchange(self, *, with_bodies: bool) -> Ask:
        exchange_id, _ = self._chance.choice(self._sample)

        async def ask() -> Outcome:
            found = await self._query.get_exchange(exchange_id)
            if with_bodies:
                for read in (self._query.request_body, self._query.response_body):
                    body = await read(exchange_id)
                    if body is not None:
                        async for _ in body.chunks:
                            continue
            return Outcome(int(found is not None))

        return ask


def _always(value: T) -> Callable[[], T]:
    """Gives the same each time."""
    return lambda: value


def _is_chinese(text: str) -> bool:
    return all("\u4e00" <= each <= "\u9fff" for each in text)
