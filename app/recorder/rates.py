"""What a model costs, made ready to be multiplied: pure arithmetic in decimals.

A unit may be part of another: cached audio is part of the cached and of the audio input, and all of these are part of
the input. Each token is charged once, at the price of the most special unit that has one.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from app.frozen import value

if TYPE_CHECKING:
    from app.decode.usage import Usage


PARTS: dict[str, frozenset[str]] = {
    "input_tokens": frozenset({"input"}),
    "cached_tokens": frozenset({"input", "read"}),
    "cache_write_tokens": frozenset({"input", "write"}),
    "cache_write_1h_tokens": frozenset({"input", "write", "1h"}),
    "cache_write_12h_tokens": frozenset({"input", "write", "12h"}),
    "input_audio_tokens": frozenset({"input", "audio"}),
    "cached_audio_tokens": frozenset({"input", "audio", "read"}),
    "input_image_tokens": frozenset({"input", "image"}),
    "cached_image_tokens": frozenset({"input", "image", "read"}),
    "output_tokens": frozenset({"output"}),
    "reasoning_tokens": frozenset({"output", "reasoning"}),
    "citation_tokens": frozenset({"output", "citation"}),
    "output_audio_tokens": frozenset({"output", "audio"}),
    "output_image_tokens": frozenset({"output", "image"}),
    "audio_seconds": frozenset({"duration"}),
    "pages": frozenset({"pages"}),
    "web_searches": frozenset({"searches"}),
    "requests": frozenset({"requests"}),
}
"""Every unit that can have a price, with what it is; a unit whose words are more is part of one whose are fewer."""

MUST_COST = ("input_tokens", "output_tokens", "cache_write_12h_tokens", "audio_seconds", "pages")
"""Where these were used and have no price, no cost is known."""

_EXACT = decimal.Context(prec=50, rounding=decimal.ROUND_HALF_EVEN)
_MILLION = Decimal(1_000_000)
PLACES = Decimal("0.000000000001")
"""Costs are rounded to a millionth of a millionth of a dollar, which prices by the million tokens never need."""


@value
class Price:
    """Dollars for one of a unit; beyond a number of input tokens another price may hold, for all of them."""

    base: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()
    """(input tokens that must be exceeded, dollars), in rising order."""

    def at(self, input_tokens: int) -> Decimal:
        """The price for one where a call reads so many tokens."""
        price = self.base
        for above, step in self.steps:
            if input_tokens > above:
                price = step
        return price

    def halved(self) -> Price:
        """Half of it."""
        return Price(self.base / 2, tuple((above, step / 2) for above, step in self.steps))


def per_million(dollars: Decimal) -> Decimal:
    """Dollars for one where a million cost so much."""
    return _EXACT.divide(dollars, _MILLION)


Counter: TypeAlias = "Callable[[Usage], int | Decimal]"

COUNTERS: dict[str, Counter] = {
    "input_tokens": lambda usage: usage.input_tokens or 0,
    "cached_tokens": lambda usage: usage.cached_tokens or 0,
    "cache_write_tokens": lambda usage: usage.cache_write_tokens or 0,
    "cache_write_1h_tokens": lambda usage: usage.detail.cache_write_1h_tokens or 0,
    "cache_write_12h_tokens": lambda usage: usage.detail.cache_write_12h_tokens or 0,
    "input_audio_tokens": lambda usage: usage.input_audio_tokens or 0,
    "cached_audio_tokens": lambda usage: _shared(
        usage.detail.cached_audio_tokens, usage, usage.input_audio_tokens
    ),
    "input_image_tokens": lambda usage: usage.input_image_tokens or 0,
    "cached_image_tokens": lambda usage: _shared(
        usage.detail.cached_image_tokens, usage, usage.input_image_tokens
    ),
    "output_tokens": lambda usage: (usage.output_tokens or 0) + (usage.detail.unnamed_tokens or 0),
    "reasoning_tokens": lambda usage: usage.reasoning_tokens or 0,
    "citation_tokens": lambda usage: usage.detail.citation_tokens or 0,
    "output_audio_tokens": lambda usage: usage.output_audio_tokens or 0,
    "output_image_tokens": lambda usage: usage.output_image_tokens or 0,
    "audio_seconds": lambda usage: Decimal(repr(usage.detail.audio_seconds or 0)),
    "pages": lambda usage: usage.detail.pages or 0,
    "web_searches": lambda usage: usage.detail.web_searches or 0,
    "requests": lambda usage: 1,
}
"""How many of each unit were used; -1 where nobody told how many tokens are of two kinds."""


class Rates:
    """The prices of one model at one time and tier, by unit of PARTS."""

    __slots__ = ("_lines", "_unpriced", "prices")

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self.prices = dict(prices)
        # The most special unit first: what it takes is gone for the units it is part of.
        units = sorted(self.prices, key=lambda unit: -len(PARTS[unit]))
        self._lines = tuple(
            (
                COUNTERS[unit],
                self.prices[unit],
                tuple(i for i, each in enumerate(units[:at]) if PARTS[each] > PARTS[unit]),
            )
            for at, unit in enumerate(units)
        )
        self._unpriced = tuple(COUNTERS[unit] for unit in MUST_COST if unit not in self.prices)

    def __repr__(self) -> str:
        return f"Rates({', '.join(f'{unit}={price.base}' for unit, price in self.prices.items())})"

    def halved(self) -> Rates:
        """Tokens at half their price, all else as it is."""
        return Rates(
            {
                unit: price.halved() if unit.endswith("_tokens") else price
                for unit, price in self.prices.items()
            }
        )

    def cost(self, usage: Usage) -> Decimal | None:
        """Dollars; None where something used has no price, or what was used does not add up."""
        if any(count(usage) for count in self._unpriced):
            return None
        context = usage.input_tokens or 0
        left: list[int | Decimal] = []
        total = Decimal(0)
        for counter, price, parts in self._lines:
            count = counter(usage)
            for part in parts:
                count -= left[part]
            if count < 0:
                return None
            left.append(count)
            if count:
                total += (price.at(context) if price.steps else price.base) * count
        return total.quantize(PLACES, context=_EXACT).normalize(_EXACT) if total else Decimal(0)


def _shared(told: int | None, usage: Usage, other: int | None) -> int:
    """How many cached tokens are of another kind too: as told, none where a kind has none, else unknown (-1)."""
    if told is not None:
        return told
    return -1 if usage.cached_tokens and other else 0


def is_anything(usage: Usage) -> bool:
    """Whether a usage tells a count that could have a price."""
    return (
        usage.input_tokens is not None
        or usage.output_tokens is not None
        or usage.detail.audio_seconds is not None
        or usage.detail.pages is not None
    )
