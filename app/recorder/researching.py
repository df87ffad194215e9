"""Reads exchanges again that are not searched yet, and adds what they said."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from app.decode.said import said_texts
from app.recorder.redecode import read_again
from app.recorder.talk import talk_of
from app.store.database.pool import Pool
from app.store.filters.filter import HIGHEST_ID, LOWEST_ID
from app.store.search.adding import SearchAdder, spoken
from app.store.writing.record import Record
from app.store.writing.redecoding import Redecoding

PAGE_ROWS = 64


@dataclass(slots=True)
class Added:
    """What a run has done so far."""

    looked_at: int = 0
    added: int = 0
    left: int = 0
    """Their bodies are gone, or too large to be read at once."""


async def make_searchable(pool: Pool) -> AsyncGenerator[Added, None]:
    """Works through all exchanges whose bodies are kept, oldest first; where it is stopped, the next run goes on."""
    redecoding, adder = Redecoding(pool), SearchAdder(pool)
    done = Added()
    after = LOWEST_ID
    while page := await redecoding.page(after, HIGHEST_ID, PAGE_ROWS):
        after = uuid.UUID(bytes=page[-1].record.id)
        searched = await adder.searched([each.record.id for each in page])
        records: list[tuple[int, Record]] = []
        for kept in page:
            done.looked_at += 1
            if kept.record.id in searched:
                continue
            read = await read_again(redecoding, kept)
            if read is None:
                done.left += 1
                continue
            decoded = read[0]
            if any(said := said_texts(decoded)):
                record = replace(kept.record, talk=talk_of(decoded), content=spoken(said))
                records.append((kept.project_id, record))
        await adder.add(records)
        done.added += len(records)
        yield done
