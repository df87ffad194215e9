"""The body of a stream as JSON events, with what could not be read counted."""

from __future__ import annotations

from app.decode.jsonsafe import as_dict, as_str, read_glued, read_json
from app.decode.sse import SseEvent, SseParser
from app.decode.values import ErrorInfo
from app.frozen import value


@value
class JsonEvent:
    """One event whose data is a JSON object."""

    name: str
    """The `event:` field, or `message`."""
    value: dict[str, object]


@value
class StreamEvents:
    """All events of one stream, in order."""

    events: list[JsonEvent]
    is_done: bool
    """`[DONE]` was seen."""
    unreadable: int
    """Events that were no JSON, or too long; a last event that was cut off is one of them."""


@value
class Fold:
    """A stream put together: the object that a whole answer would have been."""

    value: dict[str, object]
    is_ended: bool
    """The stream's own end mark was seen, a terminal event or `[DONE]`: nothing can follow."""
    is_finished: bool
    """The stream said that it was over, by its end mark, a finish reason, or an error."""
    error: ErrorInfo | None = None


def read_events(body: bytes, flags: set[str]) -> StreamEvents:
    """Parse a whole SSE body.

    The rules drop an event that no blank line ends. Some upstreams (and recordings) leave that line out at the very
    end, so a last event that reads as whole JSON or `[DONE]` is taken.
    """
    parser = SseParser()
    raw_events = parser.feed(body)
    tail = parser.close()
    if tail is not None:
        raw_events.append(tail)
    events: list[JsonEvent] = []
    is_done = False
    unreadable = parser.dropped
    for raw in raw_events:
        data = raw.data.strip()
        if data == b"[DONE]":
            is_done = True
        elif data:
            value = read_json(data, flags)
            if isinstance(value, dict):
                events.append(JsonEvent(raw.name, value))
                continue
            values = _values_of(raw, data, value, flags)
            unreadable += not values
            is_done = is_done or data.endswith(b"[DONE]")
            events.extend(JsonEvent(raw.name, each) for each in values)
    return StreamEvents(events, is_done, unreadable)


def stream_error(event: JsonEvent) -> object:
    """The error that an event of a stream tells, in whichever envelope, or None."""
    error = event.value.get("error")
    if error:
        return error
    is_error = (
        event.name == "error" or event.value.get("type") == "error" or event.value.get("object") == "error"
    )
    return event.value if is_error else None


def event_type(event: JsonEvent) -> str:
    """What an event of a typed stream says: the `type` in its data, else its `event:` line."""
    return as_str(event.value.get("type")) or event.name


def _values_of(raw: SseEvent, data: bytes, value: object, flags: set[str]) -> list[dict[str, object]]:
    """What stands in an event that is no plain object: several glued together, an error in plain words."""
    values = [value] if value is not None else read_glued(data, flags)
    if raw.name == "error" and len(values) == 1 and isinstance(values[0], str):
        return [{"error": values[0]}]
    return [as_dict(value) for value in values if isinstance(value, dict)]
