"""Whether the usage that an answer tells is this call's own, or was told before and will be told again.

A call that makes something tells what it used once. What runs on after its call (a background response, a run, a
batch) tells its usage at every poll from its end on: it is counted once per object, wherever it is seen first.
All other reading and changing tells again what the making call told.
"""

from __future__ import annotations

import enum

MADE_BY_POST = frozenset({"threads/runs", "threads/{id}/runs", "threads/{id}/runs/{id}/submit_tool_outputs"})
RUNS = MADE_BY_POST | {"threads/{id}/runs/{id}", "threads/{id}/runs/{id}/cancel"}
BATCHES = frozenset({"batches", "batches/{id}", "batches/{id}/cancel"})
RESPONSES = frozenset({"responses", "responses/{id}", "responses/{id}/cancel"})
SESSIONS = frozenset(
    {"realtime", "realtime/translations", "live/sessions", "live/sessions/{id}/attach", "responses"}
)
"""Routes of WebSocket sessions, which begin with GET."""
ENDED = frozenset({"completed", "failed", "incomplete", "cancelled", "expired"})


class Counting(enum.StrEnum):
    """How often a usage may be counted."""

    CALL = "call"
    """It is this call's own."""
    OBJECT = "object"
    """Once for the object that the answer shows, on whichever call is recorded first."""
    NEVER = "never"
    """It was told by the call that made what this one reads or changes."""


def counting_of(method: str, route: str, asked: dict[str, object], told: dict[str, object]) -> Counting:
    """How the usage in an answer counts; `asked` and `told` are both bodies, streams folded."""
    if route in RUNS or route in BATCHES:
        return _of_object(told)
    if route in RESPONSES and method in ("GET", "POST"):
        is_background = told.get("background") is True
        if route == "responses" and method == "POST":
            is_background = is_background or asked.get("background") is True
            return _of_object(told) if is_background else Counting.CALL
        if is_background:
            return _of_object(told)
    if method == "GET" and route in SESSIONS:
        return Counting.CALL
    return Counting.CALL if method == "POST" and "{id}" not in route else Counting.NEVER


def _of_object(told: dict[str, object]) -> Counting:
    """An object tells its whole usage once it has ended, and has an id to know it by."""
    id, status = told.get("id"), told.get("status")
    is_known = isinstance(id, str) and bool(id) and isinstance(status, str)
    return Counting.OBJECT if is_known and status in ENDED else Counting.NEVER
