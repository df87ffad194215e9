"""Exchanges in the order in which they were recorded: none missed, none twice.

A batch takes its times when it inserts and shows them when it commits, so a cursor on `recorded_at` alone passes over
what commits late. Rows are given only up to a time that is settled: every transaction that was under way then has
ended (PostgreSQL's snapshots tell), or two minutes have gone by, which no batch survives.
"""

from __future__ import annotations

import datetime
import uuid
from collections import deque
from dataclasses import dataclass

from app.store.filters.filter import LOWEST_ID, Filter
from app.store.reading.query import Query
from app.store.reading.stored import Moment, StoredExchange

PAGE = 200
MARGIN = datetime.timedelta(milliseconds=200)
"""A row's time is taken a little before its transaction can be seen by others."""
LONGEST_BATCH = datetime.timedelta(minutes=2)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Cursor:
    """After which exchange, in the order of recording."""

    recorded_at: datetime.datetime
    id: uuid.UUID

    def __str__(self) -> str:
        return f"{(self.recorded_at - _EPOCH) // _MICROSECOND}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that str() wrote; raises ValueError."""
        microseconds, _, exchange_id = text.partition("-")
        try:
            return cls(_EPOCH + int(microseconds) * _MICROSECOND, uuid.UUID(exchange_id))
        except OverflowError as error:
            raise ValueError("a time beyond all times") from error


class Tail:
    """Follows one filter; `cursor` is where it is, for another tail to go on."""

    def __init__(self, query: Query, wanted: Filter, cursor: Cursor) -> None:
        self._query = query
        self._wanted = wanted
        self._moments: deque[Moment] = deque()
        self.cursor = cursor

    def __repr__(self) -> str:
        return f"<Tail at {self.cursor}>"

    async def next(self) -> list[tuple[Cursor, StoredExchange]]:
        """What was recorded and settled since, at most PAGE, each with its own cursor; moves the cursor behind all."""
        settled = await self._settle()
        if settled is None or settled <= self.cursor.recorded_at:
            return []
        rows = await self._query.recorded(self.cursor.recorded_at, self.cursor.id, settled, PAGE)
        found = {each.id: each for each in await self._query.list_among(self._wanted, [id for id, _ in rows])}
        cursors = [Cursor(recorded_at, id) for id, recorded_at in rows]
        self.cursor = cursors[-1] if len(rows) == PAGE else Cursor(settled, LOWEST_ID)
        return [(each, found[each.id]) for each in cursors if each.id in found]

    async def _settle(self) -> datetime.datetime | None:
        """Up to which time nothing more can come; None where that is not known yet."""
        moment, oldest = await self._query.moment()
        self._moments.append(moment)
        settled = None
        while self._moments and (
            self._moments[0].next <= oldest or self._moments[0].now < moment.now - LONGEST_BATCH
        ):
            settled = self._moments.popleft().now - MARGIN
        return settled
