"""An exchange's usage as the store takes it: the counts, what they cost, and whether others tell them too."""

from __future__ import annotations

import hashlib

from app.decode import Decoded
from app.decode.counting import Counting
from app.recorder.prices import Cost, PricedCall, Prices
from app.store.writing.record import Usage


def charged_usage(decoded: Decoded, call: PricedCall, prices: Prices | None) -> Usage:
    """The usage that an answer told; without `prices` it has no cost."""
    usage = decoded.usage
    cost = prices.cost(call, usage) if prices is not None else Cost()
    return Usage(
        verbatim=usage.verbatim,
        source=usage.source,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        total_tokens=usage.total_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        input_image_tokens=usage.input_image_tokens,
        output_image_tokens=usage.output_image_tokens,
        cost=cost.dollars,
        price_version=cost.price_version,
        cost_status=cost.status,
        counted_object=_object(decoded),
    )


def _object(decoded: Decoded) -> bytes | None:
    if decoded.counting is not Counting.OBJECT or decoded.usage.source == "absent" or not decoded.upstream_id:
        return None
    return hashlib.sha256(decoded.upstream_id.encode("utf-8", "replace")).digest()
