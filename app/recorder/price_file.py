"""Prices of one's own: a TOML file whose tables `[[prices]]` come before those that are bundled.

docs/settings.md describes the format. The first table that fits is taken. Every error is one line that names the file
and its line.
"""

from __future__ import annotations

import datetime
import fnmatch
import functools
import hashlib
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from app.errors import ConfigError
from app.recorder.bundled_prices import Terms
from app.recorder.rates import PARTS, Price, Rates, per_million

MOST_MODELS = 4_096
BY_MINUTE = "audio_minutes"
UNITS = tuple("audio_minutes" if unit == "audio_seconds" else unit for unit in PARTS)
"""Names of prices: tokens by the million, audio by the minute, all else by the piece."""
CONDITIONS = ("model", "upstream", "service_tier", "since")
MOST_DOLLARS = Decimal(10**9)


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """One `[[prices]]`: for what it holds, and the prices."""

    model: str
    """A pattern: `*` stands for any characters."""
    upstream: str
    """How the URL begins; empty for every upstream."""
    service_tier: str | None
    """None holds for every tier."""
    since: datetime.datetime
    rates: Rates


@dataclass(frozen=True, slots=True)
class OwnUpstream:
    """One `[[upstreams]]`: whose bundled prices hold where the URL begins so."""

    upstream: str
    provider: str


class OwnPrices:
    """What a price file says; `version` names its content."""

    def __init__(self, prices: list[OwnPrice], upstreams: list[OwnUpstream], version: str) -> None:
        self._upstreams = upstreams
        self.version = version
        self._fitting = functools.lru_cache(maxsize=MOST_MODELS)(functools.partial(_fitting, tuple(prices)))

    def rates(self, url: str, models: tuple[str, ...], terms: Terms, at: datetime.datetime) -> Rates | None:
        """The prices of the first table that fits; None where none does."""
        tier = "batch" if terms.is_batch else terms.service_tier or "default"
        return next((each.rates for each in self._fitting(url, models, tier) if each.since <= at), None)

    def provider_of(self, url: str) -> str | None:
        """Whose bundled prices hold at a URL; None where the file does not say."""
        return next((each.provider for each in self._upstreams if url.startswith(each.upstream)), None)


def own_prices(path: Path | None) -> OwnPrices | None:
    """The prices in the file that the settings name, if they name one. Raises ConfigError."""
    return read_price_file(path) if path is not None else None


def read_price_file(path: Path) -> OwnPrices:
    """The prices in a file. Raises ConfigError that names the file's line."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"price file {path}: {error.strerror}") from error
    return parse_prices(content, str(path))


def parse_prices(content: bytes, name: str) -> OwnPrices:
    """The prices in a file's content. Raises ConfigError that names the file's line."""
    try:
        text = content.decode()
        document = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"price file {name}, line {line}: no UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else content.count(b"\n") + 1
        raise ConfigError(f"price file {name}, line {line}: {error}") from error
    file = _File(name, text.splitlines())
    for key in document.keys() - {"prices", "upstreams"}:
        raise file.error(f"{key}: there are only [[prices]] and [[upstreams]]", key)
    prices = [file.price(at, table) for at, table in enumerate(file.tables(document, "prices"))]
    upstreams = [file.upstream(at, table) for at, table in enumerate(file.tables(document, "upstreams"))]
    return OwnPrices(prices, upstreams, f"own {hashlib.sha256(content).hexdigest()[:12]}")


class _File:
    """Reads one file's tables, and knows on which line a key stands."""

    def __init__(self, name: str, lines: list[str]) -> None:
        self._name = name
        self._lines = lines

    def error(self, reason: str, key: str, kind: str = "", at: int = -1) -> ConfigError:
        """An error at a key of the table [[kind]] number `at`."""
        return ConfigError(f"price file {self._name}, line {self._line_of(key, kind, at)}: {reason}")

    def tables(self, document: dict[str, object], kind: str) -> list[dict[str, object]]:
        """All tables [[kind]]."""
        found = document.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self.error(f"{kind}: write each as a table [[{kind}]]", kind)
        return found

    def price(self, at: int, table: dict[str, object]) -> OwnPrice:
        """One [[prices]]."""
        fail = functools.partial(self.error, kind="prices", at=at)
        prices: dict[str, Price] = {}
        for key, value in table.items():
            if key in UNITS:
                unit = "audio_seconds" if key == BY_MINUTE else key
                prices[unit] = _price(key, value, fail)
            elif key not in CONDITIONS:
                raise fail(f"{key}: no such key; there are {', '.join((*CONDITIONS, *UNITS))}", key)
        if not prices:
            raise fail("a table without a price; input_tokens = 2.50 is dollars for a million", "")
        tier = table.get("service_tier")
        return OwnPrice(
            model=_text("model", table.get("model"), fail).lower(),
            upstream=_text("upstream", table.get("upstream", ""), fail),
            service_tier=None if tier is None else _text("service_tier", tier, fail).lower(),
            since=_time(table.get("since"), fail),
            rates=Rates(_filled(prices)),
        )

    def upstream(self, at: int, table: dict[str, object]) -> OwnUpstream:
        """One [[upstreams]]."""
        fail = functools.partial(self.error, kind="upstreams", at=at)
        for key in table.keys() - {"upstream", "provider"}:
            raise fail(f"{key}: no such key; there are upstream and provider", key)
        url = _text("upstream", table.get("upstream"), fail)
        return OwnUpstream(url, _text("provider", table.get("provider"), fail))

    def _line_of(self, key: str, kind: str, at: int) -> int:
        """Where a key stands, else where its table begins; the parser does not tell."""
        begin = 0
        for number, line in enumerate(self._lines):
            if at >= 0 and re.match(rf"\s*\[\[\s*{kind}\s*\]\]", line):
                begin, at = number, at - 1
                if at < 0:
                    break
        for number, line in enumerate(self._lines[begin:], begin):
            if number > begin and kind and line.lstrip().startswith("["):
                break
            if key and re.match(rf"\s*\[*\s*[\"']?{re.escape(key)}\b", line):
                return number + 1
        return begin + 1


_Fail = Callable[[str, str], ConfigError]


def _fitting(prices: tuple[OwnPrice, ...], url: str, models: tuple[str, ...], tier: str) -> list[OwnPrice]:
    """All tables that fit at some time, in the file's order; the model served goes before the one asked for."""
    return [
        each
        for model in models
        for each in prices
        if url.startswith(each.upstream)
        and each.service_tier in (None, tier)
        and fnmatch.fnmatchcase(model.lower(), each.model)
    ]


def _filled(prices: dict[str, Price]) -> dict[str, Price]:
    """Cached audio and cached images need a price where both their kinds have one: that of audio and images."""
    for kind in ("audio", "image"):
        whole = prices.get(f"input_{kind}_tokens")
        if whole is not None and "cached_tokens" in prices:
            prices.setdefault(f"cached_{kind}_tokens", whole)
    return prices


def _price(key: str, value: object, fail: _Fail) -> Price:
    """A number of dollars, or a table of such numbers by the input tokens that must be exceeded."""
    if not isinstance(value, dict):
        return Price(_dollars(key, value, fail))
    steps = []
    for above, dollars in value.items():
        if not above.isascii() or not above.isdecimal() or len(above) > 12:
            raise fail(f"{key}: {{ 0 = 2.50, 272000 = 5.00 }} gives prices by input tokens", key)
        steps.append((int(above), _dollars(key, dollars, fail)))
    steps.sort()
    if not steps or steps[0][0] != 0:
        raise fail(f"{key}: a price from 0 input tokens on is missing", key)
    return Price(steps[0][1], tuple(steps[1:]))


def _dollars(key: str, value: object, fail: _Fail) -> Decimal:
    """Dollars for one."""
    amount = Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 <= amount <= MOST_DOLLARS:
        raise fail(f"{key}: {value!r} is no number of dollars", key)
    if key.endswith("_tokens"):
        return per_million(amount)
    return amount / 60 if key == BY_MINUTE else amount


def _text(key: str, value: object, fail: _Fail) -> str:
    if value is None:
        raise fail(f"{key} is missing", "")
    if not isinstance(value, str):
        raise fail(f"{key}: {value!r} is no text in quotes", key)
    return value


def _time(value: object, fail: _Fail) -> datetime.datetime:
    """From when a price holds; always where nothing is said."""
    if value is None:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    if isinstance(value, datetime.date):
        return datetime.datetime.combine(value, datetime.time(), datetime.UTC)
    raise fail(f"since: {value!r} is no date such as 2026-11-22", "since")
