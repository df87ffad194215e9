"""Token counts as providers report them, in their many spellings; reported or absent, never invented."""

from __future__ import annotations

from dataclasses import dataclass

from app.decode.jsonsafe import TextCleaner, as_dict

MOST_TOKENS = 10**12
"""A larger count is a fault of the provider's, and sums of such counts would leave int8."""
MAX_USAGE_CHARACTERS = 65_536

INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")


@dataclass(frozen=True, slots=True)
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


def read_usage(value: object, cleaner: TextCleaner) -> Usage:
    """The counts in a provider's usage object; a value that is no object, or an empty one, is absent."""
    usage = as_dict(value)
    if not usage:
        return Usage()
    verbatim = cleaner.dumps(usage, longest=1024)
    input_details = _first_dict(usage, INPUT_DETAILS)
    output_details = _first_dict(usage, OUTPUT_DETAILS)
    return Usage(
        verbatim=verbatim if len(verbatim) <= MAX_USAGE_CHARACTERS else None,
        source="reported",
        input_tokens=_first_count(usage, ("prompt_tokens", "input_tokens")),
        cached_tokens=_first_count(input_details, ("cached_tokens",))
        if "cached_tokens" in input_details
        else _first_count(usage, ("prompt_cache_hit_tokens", "cache_read_input_tokens")),
        cache_write_tokens=_first_count(input_details, ("cache_write_tokens",))
        if "cache_write_tokens" in input_details
        else _first_count(usage, ("cache_creation_input_tokens",)),
        output_tokens=_first_count(usage, ("completion_tokens", "output_tokens")),
        reasoning_tokens=_first_count(output_details, ("reasoning_tokens",))
        if "reasoning_tokens" in output_details
        else _first_count(usage, ("reasoning_tokens",)),
        total_tokens=_first_count(usage, ("total_tokens",)),
    )


def token_count(value: object) -> int | None:
    """A count that can be true, or None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MOST_TOKENS else None


def _first_count(source: dict[str, object], names: tuple[str, ...]) -> int | None:
    for name in names:
        count = token_count(source.get(name))
        if count is not None:
            return count
    return None


def _first_dict(source: dict[str, object], names: tuple[str, ...]) -> dict[str, object]:
    for name in names:
        found = as_dict(source.get(name))
        if found:
            return found
    return {}
