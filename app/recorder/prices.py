"""What an exchange cost, in US dollars: one's own prices first, then those that come with Verbatim, else unknown.

Unknown is never zero, and never an error: an upstream, a model, a tier or a unit without a price gives no cost.
Tools that a model used are counted only where the usage object tells how often.
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from app.frozen import value
from app.recorder.bundled_prices import AUDIO_APART, BundledPrices, Terms
from app.recorder.rates import Rates, is_anything

if TYPE_CHECKING:
    from app.decode.usage import Usage
    from app.recorder.price_file import OwnPrices

PRICED = "priced"
UNKNOWN_UPSTREAM = "unknown_upstream"
UNKNOWN_MODEL = "unknown_model"
UNPRICED = "unpriced"
"""The model is known, and something that was used, or the tier, has no price."""


@value
class PricedCall:
    """What prices depend on beside the usage."""

    url: str
    """Base URL of the upstream and the path behind it."""
    route: str
    model_asked: str | None
    model_served: str | None
    service_tier: str | None
    started_at: datetime.datetime

    @property
    def models(self) -> tuple[str, ...]:
        """The model served, then the one asked for, which may be a name of the client's own."""
        return tuple(dict.fromkeys(each for each in (self.model_served, self.model_asked) if each))


@value
class Cost:
    """Dollars and the version of the prices; or neither, and why."""

    dollars: Decimal | None = None
    price_version: str | None = None
    status: str | None = None
    """None where nothing was used that anybody counted."""


class Prices:
    """Prices calls; remembers the prices of models, so that a call takes microseconds."""

    def __init__(self, own: OwnPrices | None = None, bundled: BundledPrices | None = None) -> None:
        self._own = own
        self._bundled = bundled or BundledPrices()

    def cost(self, call: PricedCall, usage: Usage) -> Cost:
        """What a call cost whose usage is known; Cost() where none is."""
        if not is_anything(usage):
            return Cost()
        cost = self._cost(call, usage)
        if usage.svg is None or cost.dollars is None:
            return cost
        model, used = usage.svg
        drawn = self._cost(replace(call, route="responses", model_asked=None, model_served=model), used)
        if drawn.dollars is None:
            return drawn
        return replace(cost, dollars=cost.dollars + drawn.dollars)

    def _cost(self, call: PricedCall, usage: Usage) -> Cost:
        terms = Terms(
            service_tier=(call.service_tier or "").lower(),
            speed=usage.detail.speed or "",
            is_batch=call.route.startswith("batches"),
        )
        provider = None
        if self._own is not None:
            if rates := self._own.rates(call.url, call.models, terms, call.started_at):
                return _priced(rates, usage, self._own.version)
            provider = self._own.provider_of(call.url)
        provider = provider or self._bundled.provider_of(call.url)
        return self._bundled_cost(provider, call, terms, usage)

    def _bundled_cost(self, provider: str | None, call: PricedCall, terms: Terms, usage: Usage) -> Cost:
        if provider is None:
            return Cost(status=UNKNOWN_UPSTREAM)
        offers = (self._bundled.offer(provider, each.lower()) for each in call.models)
        offer = next((each for each in offers if each is not None), None)
        if offer is None:
            return Cost(status=UNKNOWN_MODEL)
        rates = self._bundled.rates(offer, terms, call.started_at)
        if rates is None or (provider in AUDIO_APART and _has_unpriced_audio(rates, usage)):
            return Cost(status=UNPRICED)
        if call.route.startswith("images/"):
            usage = _as_image(rates, usage)
        return _priced(rates, usage, self._bundled.version(offer))


def _priced(rates: Rates, usage: Usage, version: str) -> Cost:
    dollars = rates.cost(usage)
    return Cost(status=UNPRICED) if dollars is None else Cost(dollars, version, PRICED)


def _has_unpriced_audio(rates: Rates, usage: Usage) -> bool:
    return any(
        count and unit not in rates.prices
        for unit, count in (
            ("input_audio_tokens", usage.input_audio_tokens),
            ("output_audio_tokens", usage.output_audio_tokens),
        )
    )


def _as_image(rates: Rates, usage: Usage) -> Usage:
    """What an image model wrote is an image, where its usage does not say otherwise."""
    if usage.output_image_tokens is None and "output_image_tokens" in rates.prices:
        return replace(usage, output_image_tokens=usage.output_tokens)
    return usage
