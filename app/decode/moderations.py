"""Moderations: texts and pictures in, whether they were flagged and for what out."""

from __future__ import annotations

from app.decode.completions import read_prompts
from app.decode.jsonsafe import TextCleaner, as_dict, as_list
from app.decode.parts import read_content
from app.decode.values import Answer, Message

MAX_RESULTS = 10_000
SHOWN_CATEGORIES = 8


def read_moderations_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """One message for each text; parts of several types are one message."""
    given = body.get("input")
    first = as_dict(next(iter(as_list(given)), None)) or as_dict(given)
    if "type" not in first:
        return read_prompts(given, cleaner)
    content = read_content(given, cleaner)
    return [Message("request", None, "user", content.text, content.parts)]


def read_moderations_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """A `moderation` object."""
    results = [as_dict(each) for each in as_list(body.get("results"))[:MAX_RESULTS]]
    return Answer(
        upstream_id=cleaner.label(body.get("id")),
        model=cleaner.label(body.get("model")),
        usage=body.get("usage"),
        summary=_summary(results, cleaner) if "results" in body else None,
    )


def _summary(results: list[dict[str, object]], cleaner: TextCleaner) -> str:
    flagged = [result for result in results if result.get("flagged") is True]
    if not flagged:
        return "not flagged" if len(results) == 1 else f"none of {len(results)} flagged"
    names: dict[str, None] = {}
    for result in flagged:
        for name, is_hit in as_dict(result.get("categories")).items():
            if is_hit is True:
                names[cleaner.text(str(name), 64)] = None
    words = "flagged" if len(results) == 1 else f"{len(flagged)} of {len(results)} flagged"
    told = ", ".join(list(names)[:SHOWN_CATEGORIES]) + ("…" if len(names) > SHOWN_CATEGORIES else "")
    return f"{words}: {told}" if names else words
