"""/openapi.json: complete, and nothing in it that never happens."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.api.server import create_console
from app.cli.messages import readers
from app.store.database.pool import Pool
from app.store.filters.reading import NAMES
from app.store.reading.query import Query
from tests.api.conftest import Console

WITH_FILTERS = {"/api/exchanges", "/api/conversations", "/api/export", "/api/tail", "/api/stats"}


@pytest.fixture
def described() -> dict[str, Any]:
    return create_console(Query(Pool("postgresql:///away")), b"", frozenset(), readers()).openapi()


def test_every_call_tells_who_may_ask_and_what_may_go_wrong(described: dict[str, Any]) -> None:
    for path, calls in described["paths"].items():
        for call in calls.values():
            statuses = set(call["responses"])
            assert "422" not in statuses
            if path in ("/healthz", "/metrics"):
                assert "security" not in call
                continue
            assert call["security"] == [{"token": []}]
            assert statuses >= {"400", "401", "403", "500", "503"}
            assert ("404" in statuses) >= ("{" in path), path
            for status in statuses:
                if status >= "400":
                    schema = call["responses"][status]["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}


def test_calls_that_take_filters_name_them_all_and_those_that_clients_name(described: dict[str, Any]) -> None:
    found = set()
    for path, calls in described["paths"].items():
        parameters = {each["name"]: each for each in calls.get("get", {}).get("parameters", [])}
        if "questions" in parameters:
            found.add(path)
            assert set(parameters) >= NAMES
            pattern = parameters["questions"]["schema"]["propertyNames"]["pattern"]
            for name in (
                "tag.team",
                "request.temperature>1",
                "response.choices[0].finish_reason",
                "request[0]",
            ):
                assert re.search(pattern, name)
            assert not re.search(pattern, "model")
    assert found == WITH_FILTERS


def test_no_parameter_of_a_query_is_null_and_every_reference_leads_somewhere(
    described: dict[str, Any],
) -> None:
    text = str(described)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in described["components"]["schemas"]
    for calls in described["paths"].values():
        for call in calls.values():
            for parameter in call.get("parameters", []):
                assert "null" not in str(parameter["schema"]), parameter


async def test_filters_that_clients_name_are_taken_as_they_are_described(console: Console) -> None:
    for path in sorted(WITH_FILTERS - {"/api/tail"}):
        query = {"tag.team": "blue", "request.temperature>1": "", "response.model": "m"}
        if path == "/api/export":
            query["format"] = "jsonl"
        assert (await console.get(path, params=query)).status_code == 200
        answer = await console.get(path, params={**query, "tags": "blue"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tags")


async def test_no_call_takes_a_parameter_that_it_does_not_name(
    console: Console, described: dict[str, Any]
) -> None:
    asked = 0
    for path, calls in described["paths"].items():
        if "get" not in calls or "{" in path or not path.startswith("/api/"):
            continue
        for query, told in (
            ("surprise=1", "surprise: there is no such parameter"),
            ("limit=1&limit=1", "limit: given"),
        ):
            answer = await console.get(
                f"{path}?format=csv&{query}" if path == "/api/export" else f"{path}?{query}"
            )
            assert answer.status_code == 400, path
            assert answer.json()["error"]["message"].startswith(told), path
        asked += 1
    assert asked >= 9
    answer = await console.get("/api/exchanges/01890000-0000-7000-8000-000000000001?whole=true")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "whole")
    assert (await console.get("/healthz?probe=1")).status_code == 200
