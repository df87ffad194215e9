"""Prices of one's own: what they say holds, and what is wrong in them is one line that names the line."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.decode.usage import read_counts
from app.errors import ConfigError
from app.recorder.price_file import parse_prices, read_price_file
from app.recorder.prices import PricedCall, Prices

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
EXAMPLE = """
# before the bundled ones
[[prices]]
model = "gpt-5*"
upstream = "https://api.openai.com"
service_tier = "flex"
since = 2026-11-01
input_tokens = 0.55
cached_tokens = 0.055
output_tokens = { 0 = 4.40, 272000 = 6.60 }

[[prices]]
model = "whisper-local"
audio_minutes = 0.6

[[prices]]
model = "*:free"
input_tokens = 0
output_tokens = 0

[[upstreams]]
upstream = "http://gateway.internal/"
provider = "openai"
"""


def cost_of(text: str, usage: dict[str, Any], **changes: Any) -> Decimal | None:
    values: dict[str, Any] = {
        "url": "https://api.openai.com/v1/chat/completions",
        "route": "chat/completions",
        "model_asked": "gpt-5",
        "model_served": None,
        "service_tier": "flex",
        "started_at": datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC),
    }
    prices = Prices(parse_prices(text.encode(), "prices.toml"))
    return prices.cost(PricedCall(**(values | changes)), read_counts(usage)).dollars


USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}


def test_a_price_of_ones_own_goes_before_the_bundled_one() -> None:
    # (600 * 0.55 + 400 * 0.055 + 100 * 4.40) / 1000000
    assert cost_of(EXAMPLE, USAGE) == Decimal("0.000792")


@pytest.mark.parametrize(
    "other",
    [
        {"service_tier": "default"},
        {"url": "https://eu.api.openai.com/v1/chat/completions"},
        {"model_asked": "gpt-4o"},
        {"started_at": datetime.datetime(2026, 10, 31, 23, 59, tzinfo=datetime.UTC)},
    ],
)
def test_it_holds_only_where_all_of_its_conditions_do(other: dict[str, Any]) -> None:
    assert cost_of(EXAMPLE, USAGE, **other) != Decimal("0.000792")


def test_another_price_may_hold_for_long_contexts() -> None:
    long = {"prompt_tokens": 272_001, "completion_tokens": 1_000_000}
    assert cost_of(EXAMPLE, long) == Decimal("0.55") * 272_001 / 1_000_000 + Decimal("6.60")


def test_audio_is_priced_by_the_minute() -> None:
    assert cost_of(EXAMPLE, {"type": "duration", "seconds": 10}, model_asked="whisper-local") == Decimal(
        "0.1"
    )


def test_what_is_free_costs_nothing_and_is_known() -> None:
    assert cost_of(EXAMPLE, USAGE, model_asked="qwen3:free", url="http://10.0.0.1/v1") == 0


def test_a_gateway_may_have_the_bundled_prices_of_a_provider() -> None:
    url = "http://gateway.internal/v1/chat/completions"
    assert cost_of(EXAMPLE, USAGE, model_asked="gpt-4o", url=url, service_tier=None) == Decimal("0.003")
    assert cost_of("", USAGE, model_asked="gpt-4o", url=url, service_tier=None) is None


def test_the_first_table_that_fits_is_taken() -> None:
    tables = '[[prices]]\nmodel = "a"\nrequests = 1\n[[prices]]\nmodel = "*"\nrequests = 2\n'
    assert cost_of(tables, {"total_tokens": 1, "prompt_tokens": 0}, model_asked="a") == 1
    assert cost_of(tables, {"total_tokens": 1, "prompt_tokens": 0}, model_asked="b") == 2


def test_cached_audio_without_a_price_costs_what_audio_costs() -> None:
    table = '[[prices]]\nmodel = "*"\ninput_tokens = 1\ncached_tokens = 0.5\ninput_audio_tokens = 10\n'
    details = {"cached_tokens": 30, "audio_tokens": 50, "cached_tokens_details": {"audio_tokens": 20}}
    usage = {"input_tokens": 100, "input_token_details": details}
    # 40 text, 10 cached text, 30 audio, 20 cached audio
    assert cost_of(table, usage) == Decimal("0.000545")


def test_the_version_of_prices_follows_their_content() -> None:
    one, two = parse_prices(EXAMPLE.encode(), "a"), parse_prices(EXAMPLE.encode(), "b")
    assert one.version == two.version
    assert one.version != parse_prices(EXAMPLE.encode() + b"\n", "a").version


def test_the_example_in_the_documentation_is_read() -> None:
    section = DOCS.read_text(encoding="utf-8").split("### Prices of your own")[1].split("\n## ")[0]
    example = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    assert "[[prices]]" in example
    assert parse_prices(example.encode(), "docs").version


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[prices]]\nmodel = ", "line 2"),
        (
            "[[prices]]\nmodel = \"a\"\n\ninput_tokens = 'x'\n",
            "line 4: input_tokens: 'x' is no number of dollars",
        ),
        (
            '[[prices]]\nmodel = "a"\ninput_tokens = 1\n[[prices]]\nmodel = "b"\ninput_tokens = -1',
            "line 6: input_tokens",
        ),
        ('[[prices]]\nmodel = "a"\ninput = 1\n', "line 3: input: no such key; there are model"),
        ("\n[[prices]]\ninput_tokens = 1\n", "line 2: model is missing"),
        ('[[prices]]\nmodel = "a"\n', "line 1: a table without a price"),
        ("[[prices]]\nmodel = 7\ninput_tokens = 1\n", "line 2: model: 7 is no text"),
        ('[[prices]]\nmodel = "a"\ninput_tokens = inf\n', "line 3"),
        ('[[prices]]\nmodel = "a"\ninput_tokens = true\n', "line 3"),
        ('[[prices]]\nmodel = "a"\nsince = "May"\ninput_tokens = 1\n', "line 3: since: 'May' is no date"),
        ('[[prices]]\nmodel = "a"\ninput_tokens = { 5 = 1 }\n', "line 3: input_tokens: a price from 0"),
        ('[[prices]]\nmodel = "a"\ninput_tokens = { many = 1 }\n', "line 3: input_tokens: { 0 = 2.50"),
        ('[[upstreams]]\nupstream = "https://a"\n', "line 1: provider is missing"),
        ('[[upstreams]]\nurl = "https://a"\nprovider = "b"\n', "line 2: url: no such key"),
        ("\nprice = 1\n", "line 2: price: there are only [[prices]] and [[upstreams]]"),
        ("prices = 1\n", "line 1: prices: write each as a table"),
        ("[prices]\nmodel = 1\n", "line 1: prices: write each as a table"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_prices(text.encode(), "prices.toml")
    assert "price file prices.toml" in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_or_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2: no UTF-8"):
        parse_prices(b"# a\n\xff", "prices.toml")
    with pytest.raises(ConfigError, match="No such file"):
        read_price_file(tmp_path / "none.toml")
