"""Conversations in a batch's transaction: found before its exchanges are inserted, written for those that were.

Two passes of look-ups for a whole batch, each by an index: the last answers that its requests hold, then (for the few
that are not found) the ones before. After the insert, in the order of keys that all batches share: counts, names, runs
of messages, loose ends. An answer that is recorded after the request that holds it finds that request among the loose
ends, and the younger conversation joins the older. Where two recorders commit both at once, neither sees the other;
`mend`, run with each heartbeat, ties what crossed.
"""

from __future__ import annotations

import datetime
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.store.conversations.joining import (
    HALF_KEY_BYTES,
    LOOK_BACK_MILLISECONDS,
    Candidate,
    Found,
    Key,
    is_repeatable,
    join,
    names_of,
    repeat_milliseconds,
    response_key,
    span,
)
from app.store.database.periods import lowest_id
from app.store.database.pool import Pool
from app.store.database.retention import Horizon
from app.store.statements import statements
from app.store.writing.record import Talk
from app.store.writing.rows import Placed, columns, uuid_of

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

FIRST_HELD = 1
"""Answers of a request that are looked for in the first pass."""
RUN_HELD = 2
"""Answers of a request after which a run may begin."""
MOST_HELD = 32
ALIKE_HELD = 4
"""Answers that are looked for after other talk, where none is found as it was given."""
LINKS_DAYS = 92
CROSSED_SECONDS = 120.0

Pair = tuple[int, uuid.UUID, uuid.UUID]
"""Project, and two conversations that are one."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What was said in one exchange, to be kept from where it is not there yet."""

    place: tuple[int, datetime.date]
    talk: Talk
    tip: bytes

    def row(self, known: set[tuple[Any, ...]]) -> tuple[Any, ...]:
        """A row for insert_runs: what the exchange added to what is known."""
        talk, parent, begin = self.talk, None, 0
        for held in talk.held[:RUN_HELD]:
            node = uuid_of(held.node)
            if held.turns < len(talk.roles) and (*self.place, node) in known:
                parent, begin = node, held.turns
                break
        keys = talk.content_keys[16 * begin :]
        return (*self.place, uuid_of(self.tip), parent, talk.roles[begin:], talk.kinds[begin:], keys)


class Conversations:
    """Joins exchanges to conversations for one recorder."""

    def __init__(self) -> None:
        self._sql = statements("conversations")

    async def join(self, connection: Connection, placed: Sequence[Placed]) -> list[Placed]:
        """The exchanges of a batch with their places in conversations; writes nothing."""
        wanted = [each for each in placed if each.record.talk is not None or each.record.conversation]
        if not wanted:
            return list(placed)
        await connection.execute(self._sql["by_indexes"])
        found = Found()
        await self._find_names(connection, wanted, found)
        await self._find_named_by_bytes(connection, wanted, found)
        await self._find_answers(connection, _held_rows(wanted, 0, FIRST_HELD), found)
        given = {
            (each.project_id, key)
            for each in wanted
            if each.record.talk is not None
            for key in each.record.talk.answer_keys
        }
        unfound = [each for each in wanted if not _is_held(each, found, given, FIRST_HELD)]
        await self._find_answers(connection, _held_rows(unfound, FIRST_HELD, MOST_HELD), found)
        unfound = [each for each in unfound if not _is_held(each, found, given, MOST_HELD)]
        if rows := _held_rows(unfound, 0, ALIKE_HELD, HALF_KEY_BYTES):
            for row in await connection.fetch(self._sql["find_alike"], *columns(rows)):
                found.add_answer((row["project_id"], row["link_key"]), _candidate(row, found))
        joined = {each.record.id: each for each in join(wanted, found)}
        return [joined.get(each.record.id, each) for each in placed]

    async def write(self, connection: Connection, fresh: Sequence[Placed], full: Sequence[Placed]) -> None:
        """Counts, names and ties the exchanges that this transaction inserted, and keeps what the `full` ones said."""
        talks = [each for each in fresh if each.join.conversation_id is not None]
        if not talks:
            return
        pairs = await self._add_names(connection, talks)
        waiting = await self._waiting(connection, _offers(talks))
        await self._lock(connection, pairs + _pairs(waiting), _count_rows(talks))
        merged = await connection.fetch(self._sql["count_in"], *columns(_count_rows(talks)))
        for row in merged:
            # Counted in one that was joined to an older one since it was looked up.
            target = await self._standing(connection, row["project_id"], [row["merged_into"]])
            await self._move(connection, row["project_id"], row["id"], target[0])
        await self._tie(connection, waiting, pairs)
        await self._write_runs(connection, full)
        if links := _link_rows(talks):
            await connection.execute(self._sql["add_links"], *columns(links))

    async def mend(self, connection: Connection) -> None:
        """Ties what two recorders wrote at the same time, and forgets what is too old to be tied."""
        await connection.execute(self._sql["by_indexes"])
        crossed = await connection.fetch(self._sql["find_crossed"], CROSSED_SECONDS)
        waiting = await self._waiting(connection, [tuple(row) for row in crossed])
        await self._lock(connection, _pairs(waiting), [])
        await self._tie(connection, waiting, [])
        await connection.execute(self._sql["forget_links"], LINKS_DAYS)

    async def _find_names(self, connection: Connection, placed: Sequence[Placed], found: Found) -> None:
        names = sorted({name for each in placed for name in names_of(each)})
        if not names:
            return
        for row in await connection.fetch(self._sql["find_names"], *columns(names)):
            project, conversation = row["project_id"], row["conversation_id"]
            found.names[project, row["source"], row["name"]] = conversation
            if row["last_id"] is not None:
                found.lasts[project, conversation] = row["last_id"]

    async def _find_named_by_bytes(
        self, connection: Connection, placed: Sequence[Placed], found: Found
    ) -> None:
        """Answers by the upstream's ids, and first tries of the same request."""
        named, repeated = [], []
        for each in placed:
            record, talk = each.record, each.record.talk
            if talk is not None and talk.response is not None:
                named.append((each.project_id, talk.response, *span(record, LOOK_BACK_MILLISECONDS)))
            if is_repeatable(record):
                within = span(record, repeat_milliseconds(record))
                repeated.append((each.project_id, record.request_sha256, record.key, *within))
        if named:
            for row in await connection.fetch(self._sql["find_responses"], *columns(named)):
                found.responses[row["project_id"], row["upstream_id"]] = _candidate(row, found)
        if repeated:
            for row in await connection.fetch(self._sql["find_requests"], *columns(repeated)):
                candidate = _candidate(row, found)
                found.requests[row["project_id"], row["sha256"], candidate.key] = candidate

    async def _find_answers(self, connection: Connection, rows: list[tuple[Any, ...]], found: Found) -> None:
        if not rows:
            return
        for name in ("find_answers", "find_offers"):
            for row in await connection.fetch(self._sql[name], *columns(rows)):
                found.add_answer((row["project_id"], row["link_key"]), _candidate(row, found))

    async def _write_runs(self, connection: Connection, full: Sequence[Placed]) -> None:
        runs = [
            _Run((each.project_id, each.week), talk, talk.tip)
            for each in full
            if (talk := each.record.talk) is not None and talk.tip is not None and talk.is_talk
        ]
        known = {(*run.place, uuid_of(run.tip)) for run in runs}
        asked = {
            (*run.place, uuid_of(held.node)) for run in runs for held in run.talk.held[:RUN_HELD]
        } - known
        if asked:
            rows = await connection.fetch(self._sql["known_runs"], *columns(sorted(asked)))
            known.update((row["project_id"], row["week"], row["tip"]) for row in rows)
        if runs:
            found = {row[:3]: row for run in runs for row in [run.row(known)]}
            await connection.execute(self._sql["insert_runs"], *columns(found.values()))

    async def _add_names(self, connection: Connection, talks: Sequence[Placed]) -> list[Pair]:
        """Writes new names; gives the conversations that are one because another recorder was faster with a name."""
        names = _name_rows(talks)
        if not names:
            return []
        await connection.execute(self._sql["add_names"], *columns(names))
        others = await connection.fetch(self._sql["other_names"], *columns(names))
        return [(row["project_id"], row["id"], row["other_id"]) for row in others]

    async def _waiting(
        self, connection: Connection, offers: Sequence[tuple[Any, ...]]
    ) -> list[asyncpg.Record]:
        """Exchanges that wait for these answers (project, link key, who gave it)."""
        return await connection.fetch(self._sql["find_waiting"], *columns(offers)) if offers else []

    async def _lock(
        self, connection: Connection, pairs: Sequence[Pair], counted: Sequence[tuple[Any, ...]]
    ) -> None:
        """Locks what is counted and what is made one together, in one order: else two recorders wait for each other."""
        if pairs:
            places = {(project, each) for project, *both in pairs for each in both}
            places.update((row[0], row[1]) for row in counted)
            await connection.execute(self._sql["lock_merging"])
            await connection.fetch(self._sql["lock_conversations"], *columns(sorted(places)))

    async def _tie(
        self, connection: Connection, waiting: Sequence[asyncpg.Record], pairs: Sequence[Pair]
    ) -> None:
        """Joins exchanges that waited to the answers that came, and makes one of each pair of conversations."""
        for row in waiting:
            joined_by = "response" if row["link_key"].startswith(b"id:") else "answer"
            await connection.execute(
                self._sql["adopt"], row["project_id"], row["id"], row["giver_id"], joined_by
            )
        if waiting:
            ends = [(row["project_id"], row["link_key"], row["id"]) for row in waiting]
            await connection.execute(self._sql["unlink"], *columns(ends))
        for project, one, other in sorted({*pairs, *_pairs(waiting)}):
            younger, older = sorted(await self._standing(connection, project, [one, other]), reverse=True)
            if younger != older:
                await self._move(connection, project, younger, older)

    async def _move(self, connection: Connection, project: int, younger: uuid.UUID, older: uuid.UUID) -> None:
        await connection.execute(self._sql["move"], project, younger, older)
        await connection.execute(self._sql["merge"], project, younger, older)

    async def _standing(
        self, connection: Connection, project: int, wanted: list[uuid.UUID]
    ) -> list[uuid.UUID]:
        """What these conversations are by now, locked."""
        for _ in range(16):
            rows = await connection.fetch(
                self._sql["lock_conversations"], [project] * len(wanted), sorted(wanted)
            )
            onward = {row["id"]: row["merged_into"] for row in rows if row["merged_into"] is not None}
            if not onward:
                break
            wanted = [onward.get(each, each) for each in wanted]
        return wanted


def _held_rows(
    placed: Sequence[Placed], first: int, end: int, key_bytes: int | None = None
) -> list[tuple[Any, ...]]:
    """Answers to look for: project, link key, and their span; each once, for the last that holds it."""
    rows: dict[tuple[int, bytes], tuple[Any, ...]] = {}
    for each in sorted(placed, key=lambda one: (one.record.started_at, one.record.id)):
        held = each.record.talk.held[first:end] if each.record.talk is not None else ()
        if held:
            within = span(each.record, LOOK_BACK_MILLISECONDS)
            keys = [(each.project_id, one.link_key[:key_bytes]) for one in held]
            rows.update((key, (*key, *within)) for key in keys)
    return list(rows.values())


def _is_held(placed: Placed, found: Found, given: set[Key], most: int) -> bool:
    """Whether one of the last answers that it holds is known, or given in this batch, or it holds none."""
    talk = placed.record.talk
    if talk is None or not talk.held:
        return True
    keys = [(placed.project_id, held.link_key) for held in talk.held[:most]]
    return any(key in found.answers or key in given for key in keys)


def _candidate(row: asyncpg.Record, found: Found) -> Candidate:
    conversation = row["merged_into"] or row["conversation_id"]
    place = (row["project_id"], conversation)
    if row["last_id"] is not None:
        found.lasts[place] = row["last_id"]
    if row["name"] is not None:
        found.named[place] = row["name"]
    return Candidate(
        *(row["id"], row["started_at"], conversation, row["parent_id"], row["key"], row["end_user"])
    )


def _pairs(waiting: Sequence[asyncpg.Record]) -> list[Pair]:
    """Conversations that are one, but for those that clients gave different names."""
    return [
        (row["project_id"], row["conversation_id"], row["giver_conversation_id"])
        for row in waiting
        if row["name"] is None or row["giver_name"] in (None, row["name"])
    ]


def _count_rows(talks: Sequence[Placed]) -> list[tuple[Any, ...]]:
    counts: Counter[tuple[int, uuid.UUID]] = Counter()
    lasts: dict[tuple[int, uuid.UUID], uuid.UUID] = {}
    names: dict[tuple[int, uuid.UUID], str] = {}
    for each in talks:
        if (conversation := each.join.conversation_id) is not None:
            place = (each.project_id, conversation)
            own_id = uuid_of(each.record.id)
            counts[place] += 1
            lasts[place] = max(lasts.get(place, own_id), own_id)
            if each.record.conversation is not None:
                names.setdefault(place, each.record.conversation)
    return [(*place, lasts[place], counts[place], names.get(place)) for place in sorted(counts)]


def _name_rows(talks: Sequence[Placed]) -> list[tuple[Any, ...]]:
    rows = {name: each.join.conversation_id for each in talks for name in names_of(each)}
    return [(*name, rows[name]) for name in sorted(rows)]


def _link_rows(talks: Sequence[Placed]) -> list[tuple[Any, ...]]:
    rows = set()
    for each in talks:
        own_id = uuid_of(each.record.id)
        if each.join.wanted is not None:
            rows.add((each.project_id, each.join.wanted, own_id, False))
        if each.record.talk is not None:
            rows.update((each.project_id, key, own_id, True) for key in each.record.talk.answer_keys[1:])
    return sorted(rows)


def _offers(talks: Sequence[Placed]) -> list[tuple[Any, ...]]:
    """What others may wait for: project, link key, who gave it."""
    offers = []
    for each in talks:
        own_id = uuid_of(each.record.id)
        keys = list(each.record.talk.answer_keys) if each.record.talk is not None else []
        if each.record.upstream_id is not None:
            keys.append(response_key(each.record.upstream_id))
        offers += [(each.project_id, key, own_id) for key in keys]
    return offers


async def forget_conversations(pool: Pool, horizon: Horizon, now: datetime.datetime) -> None:
    """Forgets conversations, with their names, of which no exchange is kept any more."""
    oldest = horizon.oldest_metadata(now)
    if oldest is not None:
        # Whole months of exchanges go, so the last month may still have some.
        month = oldest.date().replace(day=1)
        async with pool.transaction() as connection:
            await connection.execute(statements("conversations")["forget_conversations"], lowest_id(month))
