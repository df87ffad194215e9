"""What is derived from bodies, read page by page and set anew together with the sums that it is in."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import msgspec

from app.store.conversations.writing import Conversations
from app.store.database.periods import week_number
from app.store.database.pool import Pool
from app.store.reading.query import Query
from app.store.slices.bodies import StoredBody
from app.store.statements import statements
from app.store.writing.content import talk_tip
from app.store.writing.counted import REPEATED, count_once
from app.store.writing.record import Record, Usage
from app.store.writing.rows import Placed, columns, uuid_of
from app.store.writing.sums import add_sums, corrections, sum_rows
from app.store.writing.tags import only_summed

if TYPE_CHECKING:
    import asyncpg

    from app.store.database.pool import Connection

DERIVED = (
    *("stream", "route", "capture_status", "model", "model_served", "upstream_id", "finish_reason"),
    *("service_tier", "error_type", "error_code", "user"),
)
"""Fields of a record that are read from its bodies, beside its usage."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An exchange whose bodies are kept, as it is recorded."""

    record: Record
    """Without its content."""
    project_id: int
    has_conversation: bool
    answer_key: bytes | None
    request_preview: str | None
    response_preview: str | None
    facts: str | None
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Redecoded:
    """The same as it is read now."""

    kept: Kept
    record: Record
    request_preview: str | None
    response_preview: str | None
    facts: str | None

    def changes(self) -> list[str]:
        """Names of what differs."""
        old, new = self.kept.record, self.record
        changed = [name for name in DERIVED if getattr(old, name) != getattr(new, name)]
        changed += [
            each.name
            for each in fields(Usage)
            if each.name not in ("verbatim", "counted_object")
            and getattr(old.usage, each.name) != getattr(new.usage, each.name)
        ]
        if _json(old.usage.verbatim) != _json(new.usage.verbatim):
            changed.append("usage")
        if self.kept.answer_key != answer_key(new):
            changed.append("answer_key")
        if not self.kept.has_conversation and new.talk is not None and new.talk.is_talk:
            changed.append("conversation")
        changed += [
            name
            for name in ("request_preview", "response_preview")
            if getattr(self.kept, name) != getattr(self, name)
        ]
        return changed + (["facts"] if _json(self.kept.facts) != _json(self.facts) else [])


def answer_key(record: Record) -> bytes | None:
    """The link key of the first answer."""
    return record.talk.answer_keys[0] if record.talk is not None and record.talk.answer_keys else None


class Redecoding:
    """Reads and sets what is derived in one database; its errors are StoreErrors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._query = Query(pool)
        self._conversations = Conversations()
        self._sql = statements("redecode")

    async def page(self, after: uuid.UUID, end: uuid.UUID, limit: int) -> list[Kept]:
        """The exchanges between two ids that follow `after`, oldest first; only those with bodies."""
        async with self._pool.transaction(readonly=True) as connection:
            projects = {
                row["id"]: row["name"] for row in await connection.fetch(statements("query")["projects"])
            }
            rows = await connection.fetch(self._sql["kept"], after, end, limit)
        return [_kept(row, projects[row["project_id"]]) for row in rows]

    async def bodies(self, kept: Kept) -> tuple[StoredBody | None, StoredBody | None]:
        """The bodies of an exchange, request first; None where one is not kept."""
        exchange_id = uuid_of(kept.record.id)
        return await self._query.request_body(exchange_id), await self._query.response_body(exchange_id)

    async def response_header(self, kept: Kept, name: bytes) -> str | None:
        """The values of a field of the answer's head."""
        headers = await self._query.headers(uuid_of(kept.record.id))
        values = (
            [value for each, value in (headers.response or []) if each.lower() == name] if headers else []
        )
        return b", ".join(values).decode("latin-1") if values else None

    async def set(self, changed: Sequence[Redecoded]) -> int:
        """Sets what changed, and brings sums and conversations along, in one transaction; gives how many it set.

        What another run or `recost` changed since it was read is left alone.
        """
        if not changed:
            return 0
        ordered = sorted(changed, key=lambda each: (each.kept.project_id, each.record.id))
        async with self._pool.transaction() as connection:
            weeks = sorted({(each.kept.project_id, week_number(_placed(each).week)) for each in ordered})
            await connection.execute(statements("ingest")["share_weeks"], *columns(weeks))
            rows = [
                (
                    each.kept.project_id,
                    uuid_of(each.record.id),
                    each.kept.record.usage.cost,
                    each.kept.record.usage.cost_status,
                )
                for each in ordered
            ]
            ids = [row[1] for row in rows]
            span = (min(ids), max(ids))
            found = await connection.fetch(self._sql["lock_exchanges"], *span, *columns(rows))
            same = {row["id"] for row in found}
            ordered = [each for each in ordered if uuid_of(each.record.id) in same]
            if ordered:
                await self._set(connection, ordered, span)
        return len(ordered)

    async def position(self, run: str) -> uuid.UUID | None:
        """How far a run that was stopped is."""
        async with self._pool.transaction(readonly=True) as connection:
            value = await connection.fetchval(self._sql["position"], f"redecode {run}")
        return uuid.UUID(value) if value else None

    async def set_position(self, run: str, position: uuid.UUID | None) -> None:
        """Notes how far a run is; None where it is done."""
        async with self._pool.transaction() as connection:
            if position is None:
                await connection.execute(self._sql["forget_position"], f"redecode {run}")
            else:
                await connection.execute(self._sql["set_position"], f"redecode {run}", str(position))

    async def _set(
        self, connection: Connection, changed: list[Redecoded], span: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        homeless = [_placed(each) for each in changed if not each.kept.has_conversation]
        joined = {each.record.id: each for each in await self._conversations.join(connection, homeless)}
        placed = [joined.get(each.record.id, _placed(each)) for each in changed]
        await connection.execute(
            self._sql["set_exchanges"], *span, *columns(_exchange_row(each) for each in placed)
        )
        texts = [
            (
                each.kept.project_id,
                uuid_of(each.record.id),
                each.request_preview,
                each.response_preview,
                each.facts,
                talk_tip(each.record) if each.record.id in joined else None,
            )
            for each in changed
        ]
        await connection.execute(self._sql["set_transcripts"], *span, *columns(texts))
        await connection.execute(self._sql["keep_metadata"], *span, [text[1] for text in texts])
        await self._conversations.write(connection, list(joined.values()), list(joined.values()))
        await self._correct_sums(connection, changed, placed)

    async def _correct_sums(
        self, connection: Connection, changed: list[Redecoded], placed: list[Placed]
    ) -> None:
        fresh = [
            each
            for each, old in zip(placed, changed, strict=True)
            if old.kept.record.usage.source == "absent"
        ]
        counted = {each.record.id: each for each in await count_once(connection, fresh)}
        new = [_summed(counted.get(each.record.id, each)) for each in placed]
        old = [_summed(Placed(each.kept.record, each.kept.project_id)) for each in changed]
        changing = corrections(sum_rows(old), sum_rows(new))
        changing["add_daily_tags"] = await only_summed(connection, changing["add_daily_tags"])
        await add_sums(connection, changing)
        times = [each.kept.record.started_at for each in changed]
        hour = datetime.timedelta(hours=1)
        for name in ("hours", "routes"):
            await connection.execute(self._sql[f"forget_empty_{name}"], min(times) - hour, max(times))
        for name in ("days", "models", "weeks", "user_days", "tag_days"):
            await connection.execute(self._sql[f"forget_empty_{name}"], min(times).date(), max(times).date())


def _placed(redecoded: Redecoded) -> Placed:
    return Placed(redecoded.record, redecoded.kept.project_id)


def _summed(placed: Placed) -> Placed:
    """As it counts in sums: a usage that is counted elsewhere is none."""
    if placed.record.usage.cost_status != REPEATED:
        return placed
    usage = replace(placed.record.usage, cost_status=None)
    return replace(placed, record=replace(placed.record, usage=usage))


def _json(text: str | None) -> object:
    return json.loads(text) if text else None


def _exchange_row(placed: Placed) -> tuple[Any, ...]:
    """A row for set_exchanges."""
    r, u, j = placed.record, placed.record.usage, placed.join
    return (
        *(placed.project_id, uuid_of(r.id), r.stream, r.route, r.capture_status, r.model, r.model_served),
        *(r.upstream_id, r.finish_reason, r.service_tier, r.error_type, r.error_code, r.user),
        *(u.verbatim, u.source, u.input_tokens, u.cached_tokens, u.cache_write_tokens, u.output_tokens),
        *(u.reasoning_tokens, u.total_tokens, u.input_audio_tokens, u.output_audio_tokens),
        *(u.input_image_tokens, u.output_image_tokens, u.cost, u.price_version, u.cost_status),
        *(answer_key(r), j.conversation_id, j.parent_id, j.joined_by),
    )


def _kept(row: asyncpg.Record, project: str) -> Kept:
    found = dict(row)
    names = {each.name for each in fields(Record)} & found.keys() - {"id", "usage", "tags"}
    values: dict[str, Any] = {name: found[name] for name in names}
    usage = {each.name: found[each.name] for each in fields(Usage) if each.name in found}
    record = Record(
        **values,
        id=row["id"].bytes,
        project=project,
        user=row["end_user"],
        tags=msgspec.json.decode(row["tags"], type=dict[str, str]),
        usage=Usage(**usage, verbatim=row["usage"], source=row["usage_source"]),
    )
    return Kept(
        record,
        row["project_id"],
        row["conversation_id"] is not None,
        *(row["answer_key"], row["request_preview"], row["response_preview"], row["facts"]),
    )
