"""Whether an exchange may begin, and how large its request may be: the limits of the settings."""

from __future__ import annotations

from app.proxy.context import ProxyContext
from app.proxy.headers import Refusal
from app.proxy.rules import ProxyRules


def admission(context: ProxyContext, length_bytes: int) -> Refusal | None:
    """Why an exchange that counts among `context.flows` already must not go on; None where it may."""
    rules = context.rules
    if len(context.flows) > rules.max_inflight:
        return Refusal(503, "max_inflight", f"{rules.max_inflight} exchanges are under way; try again later")
    if rules.fail_closed and not context.journal.admits():
        return Refusal(
            503, "journal_full", "the journal is full and JOURNAL_ON_FULL is fail_closed; try again later"
        )
    return size_refusal(rules, length_bytes)


def size_refusal(rules: ProxyRules, size_bytes: int) -> Refusal | None:
    """Why a request body of this size is refused; None where it is not."""
    limit = rules.max_body_bytes
    if limit is None or size_bytes <= limit:
        return None
    return Refusal(413, "body_too_large", f"the request body is larger than {limit} bytes")
