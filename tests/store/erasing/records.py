"""Exchanges as the recorder makes them, with all that is derived from their bodies."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from app.decode import Request, Response, decode_exchange
from app.decode.said import said_texts
from app.decode.slices import cut_body
from app.store.database.pool import Pool
from app.store.erasing.requests import Erasure, Erasures, Kind, Target
from app.store.erasing.running import Eraser
from app.store.writing.record import Record
from tests.store.talks import Clock, Message, Talker, chat


def whole(record: Record) -> Record:
    """A record of a talk with cut, facts, previews and texts."""
    content = record.content
    assert content is not None and content.request_body is not None and content.response_body is not None
    asked = b"".join(content.request_body.slices())
    told = b"".join(content.response_body.slices())
    decoded = decode_exchange(
        Request(record.method, record.path.encode(), content_type=record.request_content_type, body=asked),
        Response(200, "application/json", None, told),
    )
    content = dataclasses.replace(
        content,
        request_cut=cut_body(asked),
        said=said_texts(decoded),
        request_preview=decoded.request_preview,
        response_preview=decoded.response_preview,
        facts=decoded.facts,
    )
    return dataclasses.replace(record, content=content)


def asking(messages: Sequence[Message], answer: str, clock: Clock, **changes: Any) -> Record:
    """One call of chat completions."""
    return whole(chat(list(messages), {"content": answer}, clock.tick(), **changes))


def talking(clock: Clock, subject: str, turns: int = 3, **changes: Any) -> list[Record]:
    """A conversation with a user; each message is long enough to be a slice of its own."""
    talker = Talker(clock, [{"role": "system", "content": "You are careful. " * 40}], changes=changes)
    said = [(f"{subject} asks {turn} " + "words " * 80, f"{subject} hears {turn}") for turn in range(turns)]
    return [whole(talker.says(*each)) for each in said]


async def erase(pool: Pool, kind: Kind, value: str, **more: Any) -> Erasure:
    """Asks for an erasure, and runs it until the tables are done with it."""
    erasures = Erasures(pool)
    asked = await erasures.request(Target(1, kind, value, **more))
    await run(pool)
    found = await erasures.get(asked.id)
    assert found is not None
    return found


async def run(pool: Pool) -> None:
    """Erases what was asked for."""
    for _ in range(3):
        await Eraser(pool).run_once()
