"""Token counts as providers report them, in their many spellings; reported or absent, never invented.

`input_tokens` and `output_tokens` mean all of them, whatever the provider's habit: Anthropic's `input_tokens` leave out
what was read from or written to its cache, xAI's and Perplexity's `completion_tokens` leave out reasoning. All other
counts are parts of these two, never beside them.
"""

from __future__ import annotations

from dataclasses import field

from app.decode.jsonsafe import TextCleaner, as_dict
from app.frozen import value

MOST_TOKENS = 10**12
"""A larger count is a fault of the provider's, and sums of such counts would leave int8."""
MAX_USAGE_CHARACTERS = 65_536
MAX_WORD_CHARACTERS = 64

INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")
DETAILED = frozenset(
    {
        "cache_creation",
        "cache_write_tokens_details",
        "cached_tokens_details",
        "citation_tokens",
        "num_search_queries",
        "pages_processed",
        "seconds",
        "server_tool_use",
        "service_tier",
        "speed",
    }
)
"""Fields of a usage object, or of its details, of which a UsageDetail is made; most have none."""
CACHED = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_prompt_text_tokens", "cached_tokens")


@value
class UsageDetail:
    """What prices depend on beyond the columns; None is not reported."""

    cache_write_1h_tokens: int | None = None
    """Of the cache-written tokens, those kept for an hour (Anthropic)."""
    cache_write_12h_tokens: int | None = None
    """Of the cache-written tokens, those kept for twelve hours (OpenAI)."""
    cached_audio_tokens: int | None = None
    cached_image_tokens: int | None = None
    citation_tokens: int | None = None
    unnamed_tokens: int | None = None
    """In the total, and neither input nor output: what Gemini thought, which is charged as output."""
    audio_seconds: float | None = None
    pages: int | None = None
    web_searches: int | None = None
    service_tier: str | None = None
    speed: str | None = None


@value
class Usage:
    """Token counts of one exchange; None is unknown, never zero."""

    verbatim: str | None = None
    """The provider's usage object as JSON text, safe for jsonb."""
    source: str = "absent"
    """`reported` or `absent`."""
    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    """As reported, else the sum of input and output."""
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    detail: UsageDetail = field(default_factory=UsageDetail)
    svg: tuple[str, Usage] | None = None
    """The model that drew vector images, and what it used beside the image model."""


def read_usage(value: object, cleaner: TextCleaner) -> Usage:
    """The counts in a provider's usage object; a value that is no object, or an empty one, is absent."""
    usage = as_dict(value)
    if not usage:
        return Usage()
    verbatim = cleaner.dumps(usage, longest=1024)
    return read_counts(usage, verbatim if len(verbatim) <= MAX_USAGE_CHARACTERS else None)


def read_counts(usage: dict[str, object], verbatim: str | None = None) -> Usage:
    """The counts in a usage object that is not empty."""
    input_details = _first_dict(usage, INPUT_DETAILS)
    output_details = _first_dict(usage, OUTPUT_DETAILS)
    cached = _cached(usage, input_details)
    cache_write = _cache_write(usage, input_details)
    read = _input_tokens(usage, cached, cache_write)
    reasoning = _first_count(output_details, ("reasoning_tokens", "thinking_tokens"))
    if reasoning is None:
        reasoning = _first_count(usage, ("reasoning_tokens",))
    written, unnamed = _output_tokens(usage, read, reasoning)
    total = _first_count(usage, ("total_tokens",))
    if total is None and read is not None and written is not None:
        total = read + written
    return Usage(
        verbatim=verbatim,
        source="reported",
        input_tokens=read,
        cached_tokens=cached,
        cache_write_tokens=cache_write,
        output_tokens=written,
        reasoning_tokens=reasoning,
        total_tokens=total,
        input_audio_tokens=_first_count(input_details, ("audio_tokens",)),
        output_audio_tokens=_first_count(output_details, ("audio_tokens",)),
        input_image_tokens=_first_count(input_details, ("image_tokens",)),
        output_image_tokens=_first_count(output_details, ("image_tokens",)),
        detail=_detail(usage, input_details, unnamed),
        svg=_svg(as_dict(usage.get("svg_usage"))),
    )


def token_count(value: object) -> int | None:
    """A count that can be true, or None."""
    if type(value) is int:
        return value if 0 <= value <= MOST_TOKENS else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MOST_TOKENS else None


def _input_tokens(usage: dict[str, object], cached: int | None, cache_write: int | None) -> int | None:
    asked = _first_count(usage, ("prompt_tokens",))
    if asked is not None:
        return asked
    asked = _first_count(usage, ("input_tokens",))
    if asked is not None and _is_anthropic(usage):
        return asked + (cached or 0) + (cache_write or 0)
    return asked


def _is_anthropic(usage: dict[str, object]) -> bool:
    """Whether `input_tokens` leaves out the cache's; Anthropic's own names stand beside it then."""
    return "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage


def _output_tokens(
    usage: dict[str, object], read: int | None, reasoning: int | None
) -> tuple[int | None, int | None]:
    """All output tokens, and those of the total that nothing names."""
    written = _first_count(usage, ("completion_tokens", "output_tokens"))
    if written is None:
        return None, None
    if "citation_tokens" in usage or "num_search_queries" in usage:
        # Perplexity reports what it charges for side by side, and its total is of two of them.
        beside = _first_count(usage, ("reasoning_tokens",)) or 0
        return written + beside + (_first_count(usage, ("citation_tokens",)) or 0), None
    total = _first_count(usage, ("total_tokens",))
    unnamed = 0 if total is None or read is None else total - read - written
    if unnamed > 0 and unnamed == reasoning:
        return written + reasoning, None
    return written, unnamed if unnamed > 0 and not reasoning else None


def _cached(usage: dict[str, object], details: dict[str, object]) -> int | None:
    if "cached_tokens" in details:
        return _first_count(details, ("cached_tokens",))
    found = _first_count(usage, CACHED)
    return _first_count(details, ("cache_read_input_tokens",)) if found is None else found


def _cache_write(usage: dict[str, object], details: dict[str, object]) -> int | None:
    if "cache_write_tokens" in details:
        return _first_count(details, ("cache_write_tokens",))
    found = _first_count(usage, ("cache_creation_input_tokens",))
    return _first_count(details, ("cache_creation_input_tokens",)) if found is None else found


def _detail(usage: dict[str, object], input_details: dict[str, object], unnamed: int | None) -> UsageDetail:
    if DETAILED.isdisjoint(usage) and DETAILED.isdisjoint(input_details):
        return UsageDetail(unnamed_tokens=unnamed)
    cached_details = as_dict(input_details.get("cached_tokens_details"))
    tools = as_dict(usage.get("server_tool_use"))
    searches = _first_count(tools, ("web_search_requests",))
    return UsageDetail(
        cache_write_1h_tokens=_first_count(
            as_dict(usage.get("cache_creation")), ("ephemeral_1h_input_tokens",)
        ),
        cache_write_12h_tokens=_first_count(
            as_dict(input_details.get("cache_write_tokens_details")), ("ttl_12h",)
        ),
        cached_audio_tokens=_first_count(cached_details, ("audio_tokens",)),
        cached_image_tokens=_first_count(cached_details, ("image_tokens",)),
        citation_tokens=_first_count(usage, ("citation_tokens",)),
        unnamed_tokens=unnamed,
        audio_seconds=_seconds(usage.get("seconds")),
        pages=_first_count(usage, ("pages_processed",)),
        web_searches=_first_count(usage, ("num_search_queries",)) if searches is None else searches,
        service_tier=_word(usage.get("service_tier")),
        speed=_word(usage.get("speed")),
    )


def _svg(usage: dict[str, object]) -> tuple[str, Usage] | None:
    model = _word(usage.get("model"))
    return (model, read_counts({**usage, "svg_usage": None})) if model is not None else None


def _seconds(value: object) -> float | None:
    """A duration that can be true: up to a year."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 31_622_400 else None


def _word(value: object) -> str | None:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_WORD_CHARACTERS:
        return None
    return value if value.isascii() and value.isprintable() else None


def _first_count(source: dict[str, object], names: tuple[str, ...]) -> int | None:
    if not source:
        return None
    for name in names:
        value = source.get(name)
        if value is not None and (count := token_count(value)) is not None:
            return count
    return None


def _first_dict(source: dict[str, object], names: tuple[str, ...]) -> dict[str, object]:
    for name in names:
        found = as_dict(source.get(name))
        if found:
            return found
    return {}
