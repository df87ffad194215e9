"""What an exchange says itself of the conversation that it belongs to, beyond the messages that it holds."""

from __future__ import annotations

import re

from app.decode.jsonsafe import TextCleaner, as_dict
from app.frozen import value

TALKS = frozenset(
    {
        "chat/completions",
        "completions",
        "conversations",
        "messages",
        "realtime",
        "responses",
        "responses/compact",
        "threads",
        "threads/runs",
    }
)
"""Routes whose exchanges are conversations, be it of one exchange."""
_NAMED = ("conversations", "threads")
_ID_IN_PATH = re.compile(rb"/(chat/completions|conversations|responses|threads)/([^/?]+)")


@value
class Lineage:
    """Names that join exchanges, as a provider gave them."""

    is_talk: bool = False
    """It is a conversation even where nothing else belongs to it."""
    response: str | None = None
    """The id of the answer that it goes on from, or reads again: `resp_…`, `chatcmpl-…`."""
    conversation: str | None = None
    """The provider's name for the whole conversation: `conv_…`, `thread_…`."""


def read_lineage(
    path: bytes, route: str, asked: dict[str, object], told: dict[str, object], cleaner: TextCleaner
) -> Lineage:
    """What both bodies (streams folded) and the path tell."""
    place, found = _in_path(path) if "{id}" in route else ("", None)
    response = found if place in ("responses", "chat/completions") else asked.get("previous_response_id")
    conversation: object = found if place in _NAMED else None
    if not conversation and route.split("/")[0] in (*_NAMED, "responses"):
        conversation = _name_in(asked.get("conversation")) or _name_in(told.get("conversation"))
        conversation = conversation or told.get("thread_id")
        if route in _NAMED:
            conversation = told.get("id")
    return Lineage(
        is_talk=route in TALKS or place in _NAMED,
        response=cleaner.label(response) if isinstance(response, str) else None,
        conversation=cleaner.label(conversation) if isinstance(conversation, str) else None,
    )


def _in_path(path: bytes) -> tuple[str, str | None]:
    found = _ID_IN_PATH.search(path)
    return (found[1].decode("ascii"), found[2].decode("utf-8", "replace")) if found else ("", None)


def _name_in(value: object) -> object:
    return as_dict(value).get("id") if isinstance(value, dict) else value
