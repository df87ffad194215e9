"""Errors as upstreams tell them: OpenAI's envelope, Azure's, vLLM's, FastAPI's, and plain text."""

from __future__ import annotations

from app.decode.jsonsafe import TextCleaner, as_dict, as_str
from app.decode.values import ErrorInfo

MESSAGE_CHARACTERS = 500
CODE_CHARACTERS = 128


def read_error(value: object, cleaner: TextCleaner) -> ErrorInfo | None:
    """The error itself (what stands under `error`), or None where there is none."""
    if isinstance(value, str):
        return ErrorInfo(message=cleaner.text(value, MESSAGE_CHARACTERS)) if value else None
    fields = as_dict(value)
    if not fields:
        return None
    nested = as_dict(fields.get("error")) or fields
    kind = nested.get("type")
    return ErrorInfo(
        # In `{"type": "error", "message": …}` the type is the event's.
        type=None if kind == "error" else cleaner.label(kind, CODE_CHARACTERS),
        code=cleaner.label(nested.get("code"), CODE_CHARACTERS),
        message=_message_of(nested, cleaner),
    )


def read_envelope(body: object, status: int | None, cleaner: TextCleaner) -> ErrorInfo | None:
    """The error in a whole JSON body, or None; bodies without an envelope are errors only if the status says so."""
    if isinstance(body, list) and body:
        body = body[0]
    fields = as_dict(body)
    if fields.get("error"):
        return read_error(fields["error"], cleaner)
    if status is None or status < 400:
        return None
    if isinstance(body, str):
        return read_error(body, cleaner)
    return read_error(fields, cleaner)


def _message_of(fields: dict[str, object], cleaner: TextCleaner) -> str | None:
    for name in ("message", "detail", "error", "reason"):
        message = fields.get(name)
        if isinstance(message, dict | list) and message:
            return cleaner.dumps(message, longest=MESSAGE_CHARACTERS)[:MESSAGE_CHARACTERS]
        text = as_str(message)
        if text:
            return cleaner.text(text, MESSAGE_CHARACTERS)
    return None
