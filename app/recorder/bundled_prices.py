"""The prices that come with genai-prices: by provider and model, with their history, tiers and long contexts.

Its data are taken, not its arithmetic, which takes 70 µs a call. It is imported at the first look-up, and by the
recorder and the command line alone: it brings pydantic and an HTTP client.
"""

from __future__ import annotations

import datetime
import functools
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from app.recorder.rates import Price, Rates, per_million

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, Provider, TieredPrices

MOST_MODELS = 4_096
"""Models that are remembered; their names come from strangers."""
MOST_RATES = 512

UNITS = {
    "input_mtok": "input_tokens",
    "cache_read_mtok": "cached_tokens",
    "cache_write_mtok": "cache_write_tokens",
    "cache_write_1h_mtok": "cache_write_1h_tokens",
    "input_audio_mtok": "input_audio_tokens",
    "cache_audio_read_mtok": "cached_audio_tokens",
    "input_image_mtok": "input_image_tokens",
    "cache_image_read_mtok": "cached_image_tokens",
    "output_mtok": "output_tokens",
    "output_reasoning_mtok": "reasoning_tokens",
    "output_citation_mtok": "citation_tokens",
    "output_audio_mtok": "output_audio_tokens",
    "output_image_mtok": "output_image_tokens",
    "audio_hours": "audio_seconds",
    "input_audio_hours": "audio_seconds",
    "input_document_kpages": "pages",
    "web_searches_kcount": "web_searches",
    "requests_kcount": "requests",
}
"""Its names of prices to our units; those that no usage object tells (characters, stored searches) are left out."""

STANDARD_TIERS = frozenset({"", "default", "auto", "standard", "standard_only", "on_demand"})
HALF_PRICE_BATCHES = frozenset({"openai", "azure", "anthropic", "google", "groq", "mistral"})
"""Providers whose documentation gives batches half the standard price."""
KNOWN_TIERS = {
    "openai": frozenset({"flex", "priority", "fast", "scale"}),
    "azure": frozenset({"flex", "priority", "fast", "scale"}),
    "google": frozenset({"flex", "priority"}),
}
"""Tiers that have prices of their own; of other providers' tiers the standard price is taken."""
MISSING = (
    (
        "gpt-4o-audio-preview-2024-10-01",
        {"input_audio_mtok": Decimal(100), "output_audio_mtok": Decimal(200)},
    ),
    ("gpt-4o-audio-preview", {"input_audio_mtok": Decimal(40), "output_audio_mtok": Decimal(80)}),
    ("gpt-4o-mini-audio-preview", {"input_audio_mtok": Decimal(10), "output_audio_mtok": Decimal(20)}),
)
"""Prices of OpenAI's list that genai-prices lacks, by how the model's name begins."""
MISSING_VERSION = 1
"""Of the list above; it is part of the version of prices where it is used."""

AUDIO_APART = frozenset({"openai", "azure"})
"""Providers that always charge audio apart from text: without a price for it, none is known."""


class Terms(NamedTuple):
    """On what terms a call was made, where prices depend on it."""

    service_tier: str = ""
    speed: str = ""
    is_batch: bool = False


@dataclass(slots=True)
class Offer:
    """One model of one provider, and its prices at those times that were asked for."""

    provider_id: str
    model: ModelInfo
    is_own_model: bool
    """False where the provider sells another's model, whose tiers are not its own."""
    has_hours: bool
    """Its prices depend on the time of the day."""
    missing: dict[str, Decimal]
    """What its prices are completed with."""
    rates: dict[tuple[Terms, tuple[int, int, int]], Rates | None]


class BundledPrices:
    """The prices in the installed genai-prices."""

    def __init__(self) -> None:
        self._offer = functools.lru_cache(maxsize=MOST_MODELS)(_find_offer)
        self._provider = functools.lru_cache(maxsize=MOST_MODELS)(_find_provider)

    def version(self, offer: Offer) -> str:
        """Which prices hold for a model: `genai-prices 0.2.3`, and what they were completed with."""
        return f"{self._version} with supplement {MISSING_VERSION}" if offer.missing else self._version

    @functools.cached_property
    def _version(self) -> str:
        from genai_prices import __version__

        return f"genai-prices {__version__}"

    def provider_of(self, url: str) -> str | None:
        """The provider that is reached at a URL; None where nobody known is."""
        return self._provider(url)

    def offer(self, provider_id: str, model: str) -> Offer | None:
        """A provider's model; None where it is not known."""
        return self._offer(provider_id, model)

    def rates(self, offer: Offer, terms: Terms, at: datetime.datetime) -> Rates | None:
        """What a model cost at a time (aware, UTC); None where that is not known on these terms."""
        moment = (at.toordinal(), at.hour, at.minute) if offer.has_hours else (at.toordinal(), 0, 0)
        key = (terms, moment)
        if key not in offer.rates:
            if len(offer.rates) >= MOST_RATES:
                offer.rates.clear()
            begin = datetime.datetime(at.year, at.month, at.day, *moment[1:], tzinfo=datetime.UTC)
            offer.rates[key] = _rates_at(offer, terms, begin)
        return offer.rates[key]


def _find_provider(url: str) -> str | None:
    return next((each.id for each in _providers() if re.match(each.api_pattern, url)), None)


def _find_offer(provider_id: str, model: str) -> Offer | None:
    providers = _providers()
    provider = next((each for each in providers if each.id == provider_id), None)
    found = provider.find_model(model, all_providers=providers) if provider is not None else None
    if provider is None or found is None:
        return None
    is_own = any(found is each for each in provider.models)
    missing: dict[str, Decimal] = {}
    if provider_id in AUDIO_APART:
        missing = next((prices for name, prices in MISSING if model.startswith(name)), missing)
    return Offer(provider_id, found, is_own, _has_hours(found), missing, {})


def _providers() -> list[Provider]:
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot().providers


def _has_hours(model: ModelInfo) -> bool:
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    prices = [] if isinstance(model.prices, ModelPrice) else model.prices
    constraints = [*(each.constraint for each in prices), *(v.constraint for v in model.price_variants or ())]
    return any(isinstance(each, TimeOfDateConstraint) for each in constraints)


def _rates_at(offer: Offer, terms: Terms, at: datetime.datetime) -> Rates | None:
    standard = _amounts(offer.model.get_prices(at)) | offer.missing
    tier = terms.service_tier.lower()
    if terms.is_batch or tier == "batch":
        special = _special(offer, {"processing": "batch"}, standard, at)
        half = offer.provider_id in HALF_PRICE_BATCHES
        return special or (_compiled(standard).halved() if half else None)
    if terms.speed == "fast":
        return _special(offer, {"speed": "fast"}, standard, at)
    if tier in STANDARD_TIERS or tier not in KNOWN_TIERS.get(offer.provider_id, ()):
        return _compiled(standard)
    special = _special(offer, {"service_tier": tier}, standard, at)
    if special is None and tier == "flex" and offer.provider_id == "openai":
        # "Tokens are priced at Batch API rates."
        return _compiled(standard).halved()
    return special


def _special(
    offer: Offer, when: dict[str, str], standard: dict[str, Decimal | TieredPrices], at: datetime.datetime
) -> Rates | None:
    """The prices of a tier; None where it has none of its own.

    Most begin on the day on which somebody wrote them down. They are taken for earlier calls too, if the standard
    price has not changed since.
    """
    if not offer.is_own_model:
        return None
    matching = [each for each in offer.model.price_variants or () if each.when == when]
    chosen = [each for each in matching if each.constraint is None or each.constraint.active(at)]
    if not chosen:
        chosen = [each for each in matching if _is_as_before(offer, each, standard)][:1]
    if not chosen:
        return None
    amounts = dict(standard)
    for variant in reversed(chosen):
        amounts.update(_amounts(variant.prices))
    return _compiled(amounts)


def _is_as_before(offer: Offer, variant: PriceVariant, standard: dict[str, Decimal | TieredPrices]) -> bool:
    from genai_prices.types import StartDateConstraint

    constraint = variant.constraint
    if not isinstance(constraint, StartDateConstraint):
        return False
    start = datetime.datetime.combine(constraint.start_date, datetime.time(), datetime.UTC)
    return _amounts(offer.model.get_prices(start)) | offer.missing == standard


def _amounts(prices: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    return {name: value for name, value in vars(prices).items() if value is not None and name in UNITS}


def _compiled(amounts: dict[str, Decimal | TieredPrices]) -> Rates:
    return Rates({UNITS[name]: _price(name, amount) for name, amount in amounts.items()})


def _price(name: str, amount: Decimal | TieredPrices) -> Price:
    if isinstance(amount, Decimal):
        return Price(_each(name, amount))
    return Price(
        _each(name, amount.base), tuple((tier.start, _each(name, tier.price)) for tier in amount.tiers)
    )


def _each(name: str, amount: Decimal) -> Decimal:
    """Dollars for one, of an amount for a million tokens, a thousand of anything else, or an hour."""
    if name.endswith("_mtok"):
        return per_million(amount)
    return amount / 3600 if name.endswith("_hours") else amount / 1000
