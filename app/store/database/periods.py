"""Weeks and months of exchanges, read from the time that a UUIDv7 begins with; pure."""

from __future__ import annotations

import datetime
import functools
import uuid
from dataclasses import dataclass
from typing import Literal

from app.clock import id_milliseconds

DAY_MILLISECONDS = 86_400_000
_EPOCH = datetime.date(1970, 1, 1)  # a Thursday

Unit = Literal["week", "month"]


@dataclass(frozen=True, slots=True)
class Period:
    """A week (from Monday) or a month, in UTC, end excluded."""

    unit: Unit
    first_day: datetime.date
    end_day: datetime.date

    @property
    def suffix(self) -> str:
        """How partitions of it are named: `m2026_11`, `w2026_11_16`."""
        return f"{self.first_day:m%Y_%m}" if self.unit == "month" else f"{self.first_day:w%Y_%m_%d}"

    @property
    def first_id(self) -> uuid.UUID:
        """The lowest id of the period; the end_id of the one before."""
        return lowest_id(self.first_day)

    @property
    def end_id(self) -> uuid.UUID:
        """The lowest id after the period."""
        return lowest_id(self.end_day)


def week_of_id(exchange_id: bytes) -> datetime.date:
    """The Monday of the week in which a UUIDv7 was made."""
    return _week_of_day_number(id_milliseconds(exchange_id) // DAY_MILLISECONDS)


@functools.lru_cache(maxsize=64)
def _week_of_day_number(days: int) -> datetime.date:
    """The same by days since 1970: a batch asks for few of them very often."""
    return week_of_day(_EPOCH + datetime.timedelta(days=days))


def day_of_id(exchange_id: bytes) -> datetime.date:
    """The day on which a UUIDv7 was made."""
    return _EPOCH + datetime.timedelta(days=id_milliseconds(exchange_id) // DAY_MILLISECONDS)


def week_of_day(day: datetime.date) -> datetime.date:
    """The Monday of a day's week."""
    return day - datetime.timedelta(days=day.weekday())


def week_number(week: datetime.date) -> int:
    """Weeks since 1970; a small number for the key of a lock."""
    return (week - _EPOCH).days // 7


def period_of(unit: Unit, day: datetime.date) -> Period:
    """The week or month that a day is in."""
    if unit == "week":
        monday = week_of_day(day)
        return Period("week", monday, monday + datetime.timedelta(days=7))
    first = day.replace(day=1)
    return Period("month", first, (first + datetime.timedelta(days=31)).replace(day=1))


def lowest_id(moment: datetime.date | datetime.datetime) -> uuid.UUID:
    """The lowest id that a UUIDv7 made at a moment (or at a day's beginning) or later can have."""
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime.combine(moment, datetime.time(), datetime.UTC)
    milliseconds = (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(
        milliseconds=1
    )
    return uuid.UUID(int=min(max(milliseconds, 0), (1 << 48) - 1) << 80)
