"""What decoding takes and gives: the two halves of an exchange in, its meaning out."""

from __future__ import annotations

from dataclasses import field

from app.decode.counting import Counting
from app.decode.lineage import Lineage
from app.decode.multipart import Form
from app.decode.usage import Usage
from app.frozen import value


@value
class Request:
    """The client's half of an exchange, as it went over the wire."""

    method: str
    path: bytes
    """Raw path after the upstream's name, without the query: `/v1/chat/completions`."""
    query: bytes = b""
    content_type: str | None = None
    content_encoding: str | None = None
    body: bytes | None = b""
    """None where the body is not available or too large to be read. After a 101: what the client sent since."""
    form: Form | None = None
    """What a multipart body that is too large to be held was read to, piece by piece."""


@value
class Response:
    """The upstream's half of an exchange, as it went over the wire."""

    status: int | None = None
    """None where no answer came."""
    content_type: str | None = None
    content_encoding: str | None = None
    body: bytes | None = b""
    """None where the body is not available or too large to be read."""
    complete: bool = True
    """False where the answer was cut."""
    extensions: str | None = None
    """`Sec-WebSocket-Extensions` of an answer of 101: how the bytes after it are coded."""


@value
class ToolCall:
    """One call of a tool that a model asked for."""

    id: str | None
    name: str | None
    arguments: str | None
    """The text as the model wrote it; None where it wrote none."""


@value
class Message:
    """One message of a request or an answer; all text is free of NUL and lone surrogates."""

    direction: str
    """`request` or `response`."""
    choice: int | None
    """Which of n answers; None in requests."""
    role: str
    text: str | None
    """All text parts joined; None where there is no content at all."""
    parts: list[object] = field(default_factory=list)
    """The parts of a content that is more than one text, in one form (parts.py); empty where `text` says it all."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    refusal: str | None = None
    reasoning: str | None = None
    finish_reason: str | None = None
    tool_call_id: str | None = None
    """Of what a tool gave: which call it answers."""
    name: str | None = None
    """The name that a request gives a speaker, or (before there were ids) the function that was called."""


@value
class ErrorInfo:
    """An error that the upstream told, in an envelope or inside a stream."""

    type: str | None = None
    code: str | None = None
    message: str | None = None


@value
class Answer:
    """What a decoder reads from one answer, whole or folded."""

    upstream_id: str | None = None
    model: str | None = None
    usage: object = None
    """The usage object as it was parsed."""
    service_tier: str | None = None
    finish_reason: str | None = None
    error: ErrorInfo | None = None
    messages: list[Message] = field(default_factory=list)
    summary: str | None = None
    """The preview of an answer that has no messages: `3 embeddings`."""


@value
class Decoded:
    """What an exchange means; every text is safe for PostgreSQL, every number fits int8."""

    route: str
    stream: bool
    """The answer was a stream of server-sent events."""
    capture_status: str
    """`decoded`, `partial`, `unreadable`, `too_large` or `opaque` (no decoder knows it)."""
    model_asked: str | None = None
    model_served: str | None = None
    upstream_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    counting: Counting = Counting.CALL
    """Whether the usage is this call's own, or an object's that tells it at each poll."""
    user: str | None = None
    service_tier: str | None = None
    finish_reason: str | None = None
    error_type: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    messages: list[Message] = field(default_factory=list)
    lineage: Lineage = field(default_factory=Lineage)
    facts: str | None = None
    """What was set and told, without what was said: JSON text (facts.py)."""
    text_flags: tuple[str, ...] = ()
    """What was bent to be kept: `nul`, `surrogate`, `utf8`, `number`, `depth`, `cut` (too many items), `glued`."""
