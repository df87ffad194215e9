"""Which tags are summed: those with few values, since ids of calls as values would be as many sums as exchanges."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.store.statements import statements
from app.store.writing.rows import columns

if TYPE_CHECKING:
    from app.store.database.pool import Connection

MOST_VALUES = 1_000
"""Values of one name in one day of a project that are summed."""
MOST_NAMES = 32
"""Names of one day of a project."""
ALL_NAMES = ""
"""What stands for all names of a day that has too many."""
VALUES_HELD = 100_000
"""Of all days, in memory; beyond that, counting begins anew. Days count, too."""

Row = tuple[Any, ...]
Day = tuple[int, datetime.date]
"""A project's."""


@dataclass(slots=True)
class _Tags:
    """Values by name of one day, as far as this process saw them."""

    unsummed: set[str]
    values: dict[str, set[str]] = field(default_factory=dict)

    def take(self, name: str, value: str) -> bool:
        """True where the value is new."""
        known = self.values.setdefault(name, set())
        before = len(known)
        known.add(value)
        is_new = len(known) > before
        if len(known) > MOST_VALUES:
            self.unsummed.add(name)
            known.clear()
        if len(self.values) > MOST_NAMES:
            self.unsummed.add(ALL_NAMES)
            self.values.clear()
        return is_new

    def sums(self, name: str) -> bool:
        """Whether a name is summed."""
        return name not in self.unsummed and ALL_NAMES not in self.unsummed


class SummedTags:
    """Counts values, and notes for readers, in the store, which names of which days are not summed.

    Of several recorders each counts what it saw, and sees the others' notes once it sees a day for the first time; what
    it adds where there is such a note is not read.
    """

    def __init__(self) -> None:
        self._days: dict[Day, _Tags] = {}
        self._values_held = 0
        self._sql = statements("sums")

    async def of(self, connection: Connection, rows: list[Row]) -> list[Row]:
        """Those of the rows for add_daily_tags that are to be added."""
        if not rows:
            return []
        held = await self._held({(row[0], row[1]) for row in rows}, connection)
        for project_id, day, name, value, *_ in rows:
            if held[project_id, day].sums(name):
                self._values_held += held[project_id, day].take(name, value)
        seen = {row[:3] for row in rows} | {(*day, ALL_NAMES) for day in held}
        # Each time, since a transaction that noted it may have failed.
        if notes := sorted(each for each in seen if each[2] in held[each[0], each[1]].unsummed):
            await connection.execute(self._sql["unsum_tags"], *columns(notes))
        return [row for row in rows if held[row[0], row[1]].sums(row[2])]

    async def _held(self, days: set[Day], connection: Connection) -> dict[Day, _Tags]:
        held = {day: self._days[day] for day in days if day in self._days}
        if new := sorted(days - held.keys()):
            unsummed = await unsummed_names(connection, new)
            held.update({day: _Tags(unsummed.get(day, set())) for day in new})
            self._values_held += len(new)
        if self._values_held > VALUES_HELD:
            self._days.clear()
            self._values_held = 0
        self._days.update(held)
        return held


async def only_summed(connection: Connection, rows: list[Row]) -> list[Row]:
    """Those of the rows for add_daily_tags whose names are summed."""
    unsummed = await unsummed_names(connection, sorted({(row[0], row[1]) for row in rows})) if rows else {}
    return [row for row in rows if unsummed.get((row[0], row[1]), set()).isdisjoint((row[2], ALL_NAMES))]


async def unsummed_names(connection: Connection, days: list[Day]) -> dict[Day, set[str]]:
    """Names that are not summed, by day; ALL_NAMES for all of a day."""
    found: dict[Day, set[str]] = {}
    for row in await connection.fetch(statements("sums")["unsummed_tags"], *columns(days)):
        found.setdefault((row["project_id"], row["day"]), set()).add(row["name"])
    return found
