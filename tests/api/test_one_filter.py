"""One filter everywhere: lists, exports, tails, totals, stats and conversations take it alike, words and facts too."""

from __future__ import annotations

import dataclasses
import json
import uuid
from typing import Any

from app.clock import utc_now
from app.store.database.pool import Pool
from app.store.filters.reading import read_filter
from app.store.reading.query import Query
from app.store.writing.record import Record
from tests.api.conftest import Console
from tests.store.talks import Clock, Talker

QUESTIONS: tuple[dict[str, str], ...] = (
    {},
    {"model": "m1"},
    {"user": "u2", "status": "4xx,200"},
    {"status": "500-599"},
    {"outcome": "client_left", "stream": "true"},
    {"tag.team": "blue", "min_duration_ms": "5"},
    {"tag.run": ""},
    {"conversation": "named"},
    {"request.temperature=1": ""},
    {"request.temperature>0": "", "model": "m0"},
    {"request.seed!=": "", "user": "u1"},
    {"request.mode~FA": "", "q": "katze"},
    {"q": "katze"},
    {"q": "katze -hund", "user": "u0"},
    {"q": '"die katze"', "tag.team": "blue", "request.temperature<=1": ""},
    {"q": "nichts"},
    {"since": "2026-11-18T12:00:10Z", "until": "2026-11-18T12:00:20Z", "q": "hund"},
)


def made() -> list[Record]:
    """Thirty exchanges of six conversations; each value by a rhythm of its own."""
    clock = Clock()
    talkers = [Talker(clock) for _ in range(6)]
    talkers[4].changes = {"conversation": "named"}
    records = []
    for at in range(30):
        talker = talkers[at % 6]
        words = f"{at}: die {('katze', 'maus', 'katze, ein hund', 'hund')[at % 4]}"
        record = talker.says(
            words,
            "gut",
            model=f"m{at % 2}",
            user=f"u{at % 3}",
            status=(200, 429, 200, 500, 200)[at % 5],
            outcome="client_left" if at % 7 == 3 else "completed",
            stream=at % 2 == 1,
            duration_us=1000 * (at % 11),
            tags={"team": ("blue", "red")[at % 2], **({"run": "x"} if at % 9 == 0 else {})},
        )
        facts: dict[str, Any] = {"temperature": at % 3, "mode": ("fast", "slow")[at % 2]}
        facts |= {"seed": at} if at % 4 else {}
        assert record.content is not None
        content = dataclasses.replace(
            record.content,
            facts=json.dumps({"request": facts}),
            said=[str(one["content"]) for one in talker.messages],
        )
        records.append(dataclasses.replace(record, content=content))
    return records


async def test_whoever_asks_gets_the_same_exchanges(console: Console, database_url: str) -> None:
    records = made()
    await console.ingest.deliver(records)
    every = [uuid.UUID(bytes=each.id) for each in records]
    pool = Pool(database_url)
    found_of_some = 0
    for asked in QUESTIONS:
        listed = (await console.get("/api/exchanges", params={**asked, "limit": 100, "count": "true"})).json()
        ids = {each["id"] for each in listed["data"]}
        assert (listed["total"], listed["has_more"]) == (len(ids), False), asked
        found_of_some += 0 < len(ids) < len(every)
        exported = await console.get("/api/export", params={**asked, "format": "jsonl", "messages": "false"})
        assert {json.loads(line)["id"] for line in exported.text.splitlines()} == ids, asked
        followed = await Query(pool).list_among(read_filter(asked.items(), utc_now()), every)
        assert {str(each.id) for each in followed} == ids, asked
        groups = (await console.get("/api/stats", params={**asked, "group_by": "model"})).json()["data"]
        assert sum(each["exchanges"] for each in groups) == len(ids), asked
        talked = (await console.get("/api/conversations", params={**asked, "limit": 100})).json()["data"]
        assert {each["id"] for each in talked} == {each["conversation_id"] for each in listed["data"]}, asked
    await pool.close()
    assert found_of_some == len(QUESTIONS) - 2  # all, and nothing
