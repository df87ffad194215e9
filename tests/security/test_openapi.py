"""The OpenAPI document is complete and true: over a hostile record, nothing happens that it does not name."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.conftest import TOKEN
from tests.security.hostile_record import hostile_records

RECORDS = 120
EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "6"))
"""Cases of each kind for each call; a soak asks for thousands."""
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
STREAM = "/api/tail"
SECONDS = 30.0


class Walk:
    """Asks everything that the document has, in a thread of its own."""

    def __init__(self, url: str, ids: dict[str, list[str]]) -> None:
        self._url = url
        self._ids = ids
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {TOKEN}"
        self.statuses: dict[str, set[int]] = {}

    def run(self) -> None:
        """Raises what it finds, all of it."""
        schema = schemathesis.openapi.from_url(f"{self._url}/openapi.json")
        faults: list[str] = []
        for result in schema.get_all_operations():
            operation: Any = result.ok()  # type: ignore[union-attr]
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try:
                    self._operation(operation, mode)
                except BaseException as error:  # noqa: BLE001 - every call is tried, whatever the others did
                    faults.append(f"{operation.label}, {mode.value}: {error}")
        assert not faults, "\n\n".join(faults)

    def _operation(self, operation: Any, mode: GenerationMode) -> None:
        known = strategies.sampled_from(self._ids.get(next(iter(_placeholders(operation.path)), ""), [None]))

        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            derandomize="OPENAPI_EXAMPLES" not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), known=known, is_known=strategies.booleans())
        def ask(case: Any, known: str | None, is_known: bool) -> None:
            if known is not None and is_known:
                case.path_parameters = {name: known for name in _placeholders(operation.path)}
            self._ask(case)

        try:
            ask()
        except Exception as error:
            if "Unsatisfiable" not in type(error).__name__ and "unsatisfiable" not in str(error).lower():
                raise

    def _ask(self, case: Any) -> None:
        seen = self.statuses.setdefault(f"{case.method} {case.path}", set())
        if case.path == STREAM:
            # It has no end.
            asked = case.as_transport_kwargs(base_url=self._url)
            with self._session.request(**asked, stream=True, timeout=SECONDS) as answer:
                documented = case.operation.definition.raw["responses"]
                assert str(answer.status_code) in documented and answer.status_code < 500
                seen.add(answer.status_code)
            return
        answer = case.call(base_url=self._url, session=self._session, timeout=SECONDS)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)


def _placeholders(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("default")
async def test_nothing_happens_that_the_openapi_document_does_not_name(console):
    await console.ingest.deliver(hostile_records(RECORDS))
    exchanges = (await console.get(f"/api/exchanges?limit={RECORDS}")).json()["data"]
    assert len(exchanges) == RECORDS
    conversations = (await console.get("/api/conversations?limit=100")).json()["data"]
    own = [each["id"] for each in exchanges]
    ids = {
        "exchange_id": own,
        "conversation_id": [each["id"] for each in conversations],
        "completion_id": [each["id"] for each in exchanges if each["path"] == "/v1/chat/completions"],
        "response_id": [each["id"] for each in exchanges if each["path"] == "/v1/responses"],
    }
    walk = Walk(console.url, ids)
    await asyncio.to_thread(walk.run)
    well = {call for call, statuses in walk.statuses.items() if statuses & {200, 201, 202}}
    lists = {call for call in walk.statuses if call.startswith("GET") and "{" not in call}
    assert lists <= well and len(lists) >= 10
    assert len(walk.statuses) >= 20 and len(well) >= len(walk.statuses) // 2
