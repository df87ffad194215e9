"""Decoding is total: whatever the bytes, a value comes out, it fits PostgreSQL, and it comes soon."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decode import Request, Response, decode_exchange
from tests.decode.mutants import Campaign, Seed, check, fixture_seeds, recorded_seeds
from tests.decode.reading import PATHS, RECORDINGS

MUTANTS = 100_000
LONGEST_BYTES = 12_000
"""Of the recordings that are damaged here; `scripts/mutate-decode` takes longer ones, and as many as it is told."""


def seeds() -> list[Seed]:
    recorded = recorded_seeds(RECORDINGS, LONGEST_BYTES) if RECORDINGS.is_file() else []
    return fixture_seeds() + recorded


@pytest.mark.timeout(180)
def test_a_hundred_thousand_mutants_give_as_many_values_none_of_them_late() -> None:
    campaign = Campaign(seeds(), number=20_261_122)
    campaign.run(MUTANTS)
    assert campaign.done == MUTANTS
    assert not campaign.slow


def test_a_mutant_that_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = Campaign(fixture_seeds(), number=1)
    campaign.run(3_000)
    monkeypatch.setattr("tests.decode.mutants.SLOW_TIMES", 0)
    campaign.run(1)
    assert len(campaign.slow) == 1


WORDS = st.sampled_from(
    "choices delta message content text type role tool_calls function name arguments index id usage error item "
    "response output output_index item_id messages input prompt data embedding object model finish_reason".split()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
KINDS = st.sampled_from(
    [
        "response.output_item.done",
        "response.output_item.added",
        "response.output_text.delta",
        "response.completed",
        "error",
    ]
)


@given(st.lists(st.tuples(KINDS, JSON), max_size=6), st.sampled_from(sorted(PATHS.values())))
def test_any_values_in_any_fields_give_a_value(values: list[tuple[str, object]], path: bytes) -> None:
    bodies = [{**value, "type": kind} if isinstance(value, dict) else value for kind, value in values]
    stream = b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies)
    check(
        decode_exchange(Request("POST", path, body=b"{}"), Response(200, "text/event-stream", None, stream))
    )
    for body in bodies:
        data = json.dumps(body).encode()
        check(
            decode_exchange(Request("POST", path, body=data), Response(400, "application/json", None, data))
        )


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=60), st.text(max_size=12))
def test_any_bytes_anywhere_give_a_value(asked: bytes, told: bytes, path: bytes, kind: str) -> None:
    for method in ("POST", "GET", "CONNECT"):
        check(
            decode_exchange(
                Request(method, path, path, kind, kind, asked),
                Response(200, kind, kind, told, complete=False),
            )
        )


def test_large_hostile_inputs_take_time_in_proportion() -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"x","tool_calls":[{"id":"%d","function":{}}]}}]}\n\n'
    bodies = [
        b"".join(chunk % i for i in range(15_000)),
        b"data: " * 400_000,
        b"\n" * 1_000_000,
        b"data: x\n" * 200_000,
        b'data: {"response":{"%s":1}}\n\n' * 40_000,
        b"".join(b'data: {"response":{"k%d":1}}\n\n' % i for i in range(40_000)),
        b'data: {"a":1}' * 80_000,
        b'{"messages":' + b"[" * 1_000_000,
    ]
    for body in bodies:
        for path in (PATHS["chat"], PATHS["responses"]):
            check(
                decode_exchange(
                    Request("POST", path, body=b"{}"), Response(200, "text/event-stream", None, body)
                )
            )
