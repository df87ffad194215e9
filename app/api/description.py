"""What /openapi.json tells of every call alike: who may ask, what may go wrong, and what a query can hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from app.api.guard import TOKENLESS_PATHS
from app.api.schemas.errors import ErrorAnswer

Json = dict[str, Any]

_REFS = "#/components/schemas/{model}"
_ERROR = {"application/json": {"schema": {"$ref": _REFS.format(model="ErrorAnswer")}}}
_NAMED = {"404": "There is none, or this of it is not kept."}
_ALWAYS = {
    "400": "A parameter is malformed or unknown; `param` names it, the message says what was expected.",
    "401": "The token is missing or wrong.",
    "403": "The token reads one project alone, or the `Host` field names no host of this console.",
    "500": "Verbatim failed; its log says why.",
    "503": "PostgreSQL is away or not yet ready; `Retry-After` says when to ask again.",
}
_UNTRUE = ("HTTPValidationError", "ValidationError")
"""Errors in FastAPI's own form, of which there are none."""


class Described(FastAPI):
    """An application whose description is complete."""

    def openapi(self) -> Json:
        """The description; made once."""
        if self.openapi_schema is None:
            described = super().openapi()
            schemas: Json = described["components"]["schemas"]
            errors = ErrorAnswer.model_json_schema(ref_template=_REFS)
            schemas |= {**errors.pop("$defs", {}), "ErrorAnswer": errors}
            for name in _UNTRUE:
                schemas.pop(name, None)
            described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, call in _calls(described):
                _complete(path, call)
        return self.openapi_schema or {}


def _calls(described: Json) -> Iterator[tuple[str, Json]]:
    for path, calls in described["paths"].items():
        for call in calls.values():
            yield path, call


def _complete(path: str, call: Json) -> None:
    """What every call of its kind takes and answers."""
    answers: Json = call["responses"]
    answers.pop("422", None)
    if path.startswith("/v1/"):
        answers["200"].setdefault("content", {"application/json": {}})
    parameters: list[Json] = call.get("parameters", [])
    if path not in TOKENLESS_PATHS:
        call["security"] = [{"token": []}]
        told = dict(_ALWAYS)
        if any(each["in"] == "path" for each in parameters):
            told |= _NAMED
        for status, sentence in told.items():
            answers[status] = {"description": sentence, "content": _ERROR}
    for parameter in parameters:
        _without_null(parameter)


def _without_null(parameter: Json) -> None:
    """A query cannot say null: what is not asked for is left out."""
    schema: Json = parameter["schema"]
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if "anyOf" in schema and len(kinds) == 1:
        del schema["anyOf"]
        schema |= kinds[0]
