"""`/api/stats` over HTTP."""

from __future__ import annotations

from app.api.schemas.stats import StatsList
from tests.api.conftest import Console
from tests.store.samples import NOON_NS, record


async def test_sums_have_every_field_that_the_wire_promises(console: Console) -> None:
    await console.ingest.deliver([record(), record(status=429), record(at_ns=NOON_NS + 86_400 * 10**9)])
    answer = (await console.get("/api/stats?group_by=day,model")).json()
    assert StatsList.model_validate(answer, extra="forbid").model_dump() == answer
    first = answer["data"][0]
    assert first["group"] == {"day": "2026-11-18T00:00:00.000000Z", "model": "gpt-4o"}
    assert (first["exchanges"], first["errors"], first["error_rate"]) == (2, 1, 0.5)
    assert (first["input_tokens"], first["output_tokens"], first["total_tokens"]) == (14, 22, 36)
    assert 1400 < first["duration_ms"]["p50"] < 1600
    assert first["cost"] == "0"
    without = (await console.get("/api/stats?group_by=user&percentiles=false&min_cost=0")).json()
    assert (without["source"], without["data"]) == ("exchanges", [])
    users = (await console.get("/api/stats?group_by=user&status=2xx")).json()["data"]
    assert users[0]["group"] == {"user": None}


async def test_sums_by_tag_have_errors_and_percentiles_too(console: Console) -> None:
    await console.ingest.deliver(
        [record(tags={"team": "a"}), record(tags={"team": "a"}, status=500), record(tags={})]
    )
    answer = (await console.get("/api/stats?group_by=tag.team")).json()
    assert StatsList.model_validate(answer, extra="forbid").model_dump() == answer
    assert answer["source"] == "tags"
    assert [(each["group"], each["exchanges"], each["errors"]) for each in answer["data"]] == [
        ({"tag.team": "a"}, 2, 1),
        ({"tag.team": None}, 1, 0),
    ]
    assert 1400 < answer["data"][0]["duration_ms"]["p50"] < 1600


async def test_a_wrong_question_is_refused_by_name(console: Console) -> None:
    for query, param in (
        ("group_by=day,modle", "group_by"),
        ("q=%22x", "q"),
        ("x=1", "x"),
        ("limit=0", "limit"),
    ):
        answer = await console.get(f"/api/stats?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
