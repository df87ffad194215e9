"""Parameters of lists: which exchanges, how many, in which order."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from app.api.errors import ApiError
from app.clock import utc_now
from app.store.filters.filter import Filter
from app.store.filters.reading import read_filter

_OF_CLIENTS = "questions"
NAMED_BY_CLIENTS: dict[str, Any] = {
    "parameters": [
        {
            "name": _OF_CLIENTS,
            "in": "query",
            "description": "Filters whose names hold what is asked for: `tag.NAME=VALUE` (an empty value: any), and "
            "`request.PATH` and `response.PATH` with `=`, `!=`, `<`, `<=`, `>`, `>=`, `~` (contains), such as "
            "`response.choices[0].finish_reason=length`; `PATH=` asks whether it is there, `PATH!=` whether it is not.",
            "style": "form",
            "explode": True,
            "schema": {
                "type": "object",
                "propertyNames": {"pattern": r"^(tag\.|(request|response)[.\[]).+"},
                "additionalProperties": {"type": "string"},
            },
        }
    ]
}
"""For the description of calls that take filters."""


async def check_query(request: Request) -> None:
    """Refuses a parameter below /api/ that is given twice, or that the call's description does not name.

    Filters have names of clients' own: those are read, and refused, by store/filters/reading.py.
    """
    path = getattr(request.scope.get("route"), "path", "")
    if not path.startswith("/api/"):
        return
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise ApiError(400, f"{name}: given more than once", param=name)
    if not names:
        return
    call = request.app.openapi()["paths"][path][request.method.lower()]
    known = [each["name"] for each in call.get("parameters", ()) if each["in"] == "query"]
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None and _OF_CLIENTS not in known:
        expected = f"expected {', '.join(known)}" if known else "this call takes none"
        raise ApiError(400, f"{unknown}: there is no such parameter; {expected}", param=unknown)


class FilterParameters(BaseModel):
    """Which exchanges; several filters hold together. store/filters/reading.py reads their values."""

    model_config = ConfigDict(extra="allow")

    project: str | None = Field(None, description="Project; all projects where it is left out.")
    model: str | None = Field(None, description="Model asked for.")
    upstream: str | None = Field(None, description="Name of the upstream; the default one is `v1`.")
    method: str | None = Field(None, description="HTTP method.")
    path: str | None = Field(None, description="Path as the client sent it, without the query.")
    status: str | None = Field(
        None, description="HTTP status of the answer: `404`, `4xx`, `400-409`, or several with commas."
    )
    outcome: str | None = Field(
        None,
        description="How the exchange ended: completed, client_left, upstream_failed, upstream_timed_out, refused, "
        "proxy_failed, proxy_stopped, proxy_crashed.",
    )
    user: str | None = Field(None, description="User of the exchange.")
    key: str | None = Field(None, description="Fingerprint of the credential.")
    conversation: str | None = Field(
        None, description="Id of a conversation, or the name that a client (or the provider) gave it."
    )
    upstream_id: str | None = Field(
        None, description="The provider's id of the answer: `chatcmpl-…`, `resp_…`."
    )
    finish_reason: str | None = Field(None, description="Why the model ended: `stop`, `length`, …")
    stream: str | None = Field(None, description="`true` or `false`: whether the answer was streamed.")
    q: str | None = Field(
        None,
        max_length=4096,
        description="What was said, in either direction and any script: words that are all said, wherever they stand, "
        '`"a phrase"`, and `-word` for one that is not.',
    )
    since: str | None = Field(
        None,
        description="Begun at this time or later: `2026-11-22T10:00:00Z`, `2026-11-22`, or so long ago: `30m`, `7d`.",
    )
    until: str | None = Field(None, description="Begun before this time.")
    min_duration_ms: str | None = Field(None, description="Took so many milliseconds, or more.")
    max_duration_ms: str | None = Field(None, description="Took so many milliseconds, or less.")
    min_ttft_ms: str | None = Field(
        None, description="Milliseconds to the first byte of the answer's body, at least."
    )
    max_ttft_ms: str | None = Field(None, description="The same, at most.")
    min_input_tokens: str | None = Field(None, description="Tokens of input, at least.")
    max_input_tokens: str | None = Field(None, description="Tokens of input, at most.")
    min_output_tokens: str | None = Field(None, description="Tokens of output, at least.")
    max_output_tokens: str | None = Field(None, description="Tokens of output, at most.")
    min_cost: str | None = Field(None, description="US dollars, at least.")
    max_cost: str | None = Field(None, description="US dollars, at most.")

    def filter(self) -> Filter:
        """The filter that is asked for. Raises FilterError, TermsError."""
        given = {name: getattr(self, name) for name in FilterParameters.model_fields}
        pairs = [(name, value) for name, value in given.items() if value is not None]
        return read_filter([*pairs, *(self.model_extra or {}).items()], utc_now())


class ListParameters(FilterParameters):
    """Which exchanges, how many, in which order."""

    after: uuid.UUID | None = Field(None, description="The `last_id` of the page before.")
    limit: int = Field(20, ge=1, le=1000, description="Longest page.")
    order: Literal["desc", "asc"] = Field(
        "desc", description="`desc`: newest first, or the most; `asc`: oldest first, or the least."
    )
    sort: Literal["started_at", "duration_ms", "total_tokens", "cost"] = Field(
        "started_at",
        description="Sorted by anything but time, exchanges of which the value is unknown are left out; with `q`, at "
        "most 2,000 can be sorted so.",
    )
    count: bool = Field(False, description="Gives `total`, up to 10,000.")


class ConversationParameters(FilterParameters):
    """Which conversations, by an exchange of theirs that passes all filters, and how many."""

    after: uuid.UUID | None = Field(None, description="The `last_id` of the page before.")
    limit: int = Field(20, ge=1, le=200, description="Longest page.")
    order: Literal["desc", "asc"] = Field("desc", description="`desc`: newest first; `asc`: oldest first.")
