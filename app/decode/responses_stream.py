"""Events of a response, folded into the `response` object that a whole answer would be.

The terminal event has it all, but not with every upstream: its `output` may be empty or missing, or no terminal event
may come. So the items are built beside it, from `output_item.done`, else from deltas, and the fuller list counts.
"""

from __future__ import annotations

from app.decode.envelope import read_error
from app.decode.events import Fold, JsonEvent, StreamEvents, event_type, stream_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_list
from app.decode.responses_items import ItemFold, fuller
from app.decode.values import ErrorInfo

TERMINAL = (
    "response.completed",
    "response.failed",
    "response.incomplete",
    "response.cancelled",
    "response.done",
)


class _ResponseFold:
    """Events in, a response out."""

    def __init__(self) -> None:
        self.response: dict[str, object] = {}
        self.is_terminal = False
        self.error: object = None
        self.items = ItemFold()

    def add(self, event: JsonEvent) -> None:
        kind = event_type(event)
        response = as_dict(event.value.get("response"))
        if response and self.is_terminal and kind not in TERMINAL:
            # Out of order (Bedrock): what comes after the end says only what was not said yet.
            self.response = {**response, **self.response}
        elif response:
            self.response.update(response)
        elif event.value.get("object") == "response":
            # A whole answer as the only event.
            self.response.update(event.value)
            self.is_terminal = True
        if kind in TERMINAL:
            self.is_terminal = True
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self.items.add_item(event.value, is_done=kind.endswith("done"))
        elif kind.startswith("response."):
            self.items.add_text(kind, event.value)
        else:
            self.error = self.error or stream_error(event)


def fold_responses(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """Events of a response to one `response`; without a terminal event it is not finished."""
    fold = _ResponseFold()
    for event in stream.events:
        fold.add(event)
    if fold.items.dropped:
        cleaner.flags.add("cut")
    error: ErrorInfo | None = read_error(fold.error, cleaner)
    output = fuller(as_list(fold.response.get("output")), fold.items.items())
    is_ended = fold.is_terminal or stream.is_done
    return Fold(
        value={**fold.response, "output": output},
        is_ended=is_ended,
        is_finished=is_ended or error is not None,
        error=error,
    )
