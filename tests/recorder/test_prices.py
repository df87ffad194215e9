"""Costs are right to the last digit, and unknown where they are not known."""

from __future__ import annotations

import ast
import datetime
import json
import operator
import random
import tomllib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from app.decode.jsonsafe import TextCleaner
from app.decode.usage import read_counts, read_usage
from app.recorder.bundled_prices import UNITS, BundledPrices, Terms
from app.recorder.prices import PricedCall, Prices
from app.recorder.rates import COUNTERS, PARTS

LABELLED = tomllib.loads((Path(__file__).parent / "labelled_costs.toml").read_text())["call"]
NOW = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.UTC)
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices()


def call_of(
    model: str | None = "gpt-4o",
    served: str | None = None,
    url: str = "https://api.openai.com/v1/chat/completions",
    route: str = "chat/completions",
    service_tier: str | None = None,
    at: datetime.datetime = NOW,
) -> PricedCall:
    return PricedCall(url, route, model, served, service_tier, at)


def on_paper(sum_: str) -> Fraction:
    """A sum with the four operations, done exactly."""

    def value(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp):
            result: Fraction = OPERATORS[type(node.op)](value(node.left), value(node.right))
            return result
        assert isinstance(node, ast.Constant)
        return Fraction(str(node.value))

    return value(ast.parse(sum_, mode="eval").body)


@pytest.mark.parametrize("case", LABELLED, ids=[each["name"] for each in LABELLED])
def test_a_labelled_call_costs_what_its_documentation_says(case: dict[str, Any], prices: Prices) -> None:
    usage = read_usage(json.loads(case["usage"]), TextCleaner())
    tier = case.get("service_tier") or usage.detail.service_tier
    given = {name: case[name] for name in ("model", "served", "url", "route", "at") if name in case}
    cost = prices.cost(call_of(**given, service_tier=tier), usage)
    expected = case.get("cost")
    assert (None if cost.dollars is None else f"{cost.dollars:f}") == expected
    if expected is None:
        assert cost.price_version is None
        assert cost.status != "priced"
    else:
        assert on_paper(case["worked_out"]) == Fraction(expected)
        assert cost.status == "priced"
        assert cost.price_version == case.get("price_version", "genai-prices 0.2.3")
    for name in ("input_tokens", "output_tokens"):
        assert name not in case or getattr(usage, name) == case[name]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": "gpt-99"}, "unknown_model"),
        ({"model": None}, "unknown_model"),
        ({"url": "http://127.0.0.1:9/v1/chat/completions"}, "unknown_upstream"),
        ({"url": ""}, "unknown_upstream"),
        ({"model": "whisper-1"}, "unpriced"),
        ({"service_tier": "scale"}, "unpriced"),
        ({"model": "\0" * 256, "served": "(" * 256}, "unknown_model"),
    ],
)
def test_what_is_not_known_has_a_reason_and_no_cost(
    change: dict[str, Any], status: str, prices: Prices
) -> None:
    usage = read_counts({"prompt_tokens": 3, "completion_tokens": 4})
    cost = prices.cost(call_of(**change), usage)
    assert (cost.dollars, cost.price_version, cost.status) == (None, None, status)


def test_a_call_without_usage_has_neither_cost_nor_reason(prices: Prices) -> None:
    for value in (None, {}, {"include": True}):
        assert prices.cost(call_of(), read_usage(value, TextCleaner())).status is None


def test_where_the_served_model_is_not_known_the_one_asked_for_counts(prices: Prices) -> None:
    usage = read_counts({"prompt_tokens": 1000, "completion_tokens": 0})
    assert prices.cost(call_of("davinci", "davinci:2023-07-21-v2"), usage).dollars == Decimal("0.02")


def test_our_arithmetic_is_that_of_the_library_whose_prices_we_take() -> None:
    """Whatever is priced there and here has one price; where only one of the two refuses, it is we."""
    chance = random.Random(11)
    bundled = BundledPrices()
    models = [(provider, model) for provider in _their_providers() for model in provider.models]
    compared = 0
    for provider, model in chance.sample(models, 400):
        theirs, ours = _some_usage(chance)
        offer = bundled.offer(provider.id, model.id)
        if offer is None or offer.model is not model:
            continue
        try:
            expected = calc_price(
                theirs, model.id, provider_id=provider.id, genai_request_timestamp=NOW
            ).total_price
        except ValueError:
            continue
        rates = bundled.rates(offer, Terms(), NOW)
        cost = rates.cost(read_counts(ours)) if rates is not None else None
        if cost is not None:
            compared += 1
            assert abs(cost - expected) <= Decimal("5e-13"), (provider.id, model.id)
    assert compared > 200


def test_every_unit_is_counted_and_every_price_that_usage_can_tell_is_taken() -> None:
    assert COUNTERS.keys() == PARTS.keys()
    assert set(UNITS.values()) <= PARTS.keys()
    left_out = {
        name for provider in _their_providers() for model in provider.models for name in _price_names(model)
    } - UNITS.keys()
    assert left_out <= {
        "storage_searches_kcount",
        "input_mchars",
        "input_text_messages_kcount",
        "input_annotated_document_kpages",
        "input_video_mtok",
        "output_video_mtok",
    }


def test_names_of_models_from_strangers_do_not_pile_up() -> None:
    bundled = BundledPrices()
    prices = Prices(bundled=bundled)
    usage = read_counts({"prompt_tokens": 3, "completion_tokens": 4})
    for number in range(5_000):
        prices.cost(call_of(f"no-such-model-{number}"), usage)
    assert bundled._offer.cache_info().currsize <= 4_096


def _their_providers() -> list[Any]:
    from genai_prices.data_snapshot import get_snapshot

    return list(get_snapshot().providers)


def _price_names(model: Any) -> set[str]:
    prices = [each.prices for each in model.prices] if isinstance(model.prices, list) else [model.prices]
    prices += [each.prices for each in model.price_variants or ()]
    return {name for each in prices for name in vars(each)}


def _some_usage(chance: random.Random) -> tuple[TheirUsage, dict[str, object]]:
    """One usage twice: in the library's words and as OpenAI reports it."""
    cached, written = chance.randrange(3) * 128, chance.randrange(2) * 50
    read = cached + written + chance.choice([1, 1000, 300_000])
    wrote, thought = chance.randrange(1000), 0
    theirs = TheirUsage(
        input_tokens=read,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=wrote,
        output_reasoning_tokens=thought,
    )
    ours: dict[str, object] = {
        "prompt_tokens": read,
        "completion_tokens": wrote,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
    }
    return theirs, ours
