"""Questions to a record: each kind can be asked, and what is too slow or not found is told."""

from __future__ import annotations

import random

from app.store.database.pool import Pool
from app.store.reading.query import Query
from bench import corpus, loading
from bench.queries import Report, Row, render
from bench.questions import TEN_MILLION, Questions

ROWS = 600
FOUND = {
    "newest",
    "cheapest",
    "q common word",
    "q rare word",
    "status=429",
    "finish_reason, a path",
    "one exchange",
}


async def test_every_kind_of_question_is_answered(database_url: str) -> None:
    pool = Pool(database_url, size=2)
    sample = await loading.load(pool, ROWS)
    hits = {}
    for kind in Questions(Query(pool), random.Random(1), sample).kinds():
        outcome = await kind.make()()
        hits[kind.name] = outcome.hits
        assert not outcome.is_late
    await pool.close()
    assert {name for name in FOUND if not hits[name]} == set()
    assert hits["q absent word"] == hits[f"q absent {corpus.ABSENT_CHINESE}"] == 0
    assert len(hits) > 40


def test_what_is_too_slow_or_lost_is_told() -> None:
    report = Report(1_000_000, 500, recorded=499.0, builder_share=0.05, substrings=10)
    report.asked = [Row("newest", 50.0, 1.0, 2.0, 3.0, 20.0, 0)]
    assert report.problems() == []
    assert "| newest | 1.0 | **2.0** | 50 | 3.0 | 20.0 |  |" in render(report, [("day", "today")])
    report.asked.append(Row("oldest", 50.0, 1.0, 50.1, 60.0, 20.0, 1))
    report.recorded, report.builder_share, report.missed = 100.0, 0.2, 1
    assert [each.split()[0] for each in report.problems()] == ["oldest:", "oldest:", "the", "100", "1"]
    report.asked = [Row("newest", None, 1.0, 50.1, 60.0, 20.0, 0)]
    assert "newest" not in "".join(report.problems())
    assert "| newest | 1.0 | **50.1** |  | 60.0 |" in render(report, [])


async def test_ten_million_are_allowed_more_for_substrings_only(database_url: str) -> None:
    pool = Pool(database_url, size=2)
    sample = await loading.load(pool, 50)
    allowed = {
        kind.name: kind.limit_ms
        for kind in Questions(Query(pool), random.Random(1), sample, TEN_MILLION).kinds()
    }
    await pool.close()
    assert allowed["q common word"] == 50
    assert allowed["q any, 2"] == 150
    assert allowed["newest"] is allowed["stats day by model"] is None
