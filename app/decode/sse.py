"""Server-sent events by the WHATWG rules, from bytes in any pieces; memory is bounded per event.

A line ends in CR, LF or CRLF; a piece may end anywhere, in the middle of a character or between CR and LF. The
parser never raises: what breaks the rules is passed over as a browser would, and an event too long is counted.
"""

from __future__ import annotations

import re

from app.frozen import value

MAX_EVENT_BYTES = 16 << 20

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


@value
class SseEvent:
    """One event as dispatched; `data` is bytes, since most of it is JSON."""

    name: str
    """The `event:` field, or `message`."""
    data: bytes
    last_id: str = ""


class SseParser:
    """Bytes in, events out; `close` tells what was left open at the end."""

    __slots__ = (
        "_at_start",
        "_data",
        "_data_bytes",
        "_last_id",
        "_line",
        "_name",
        "_oversized",
        "_skip_lf",
        "dropped",
    )

    def __init__(self) -> None:
        self.dropped = 0
        """Events that were longer than MAX_EVENT_BYTES."""
        self._at_start = True
        self._skip_lf = False
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = ""
        self._last_id = ""
        self._oversized = False

    def __repr__(self) -> str:
        return f"<SseParser open_bytes={self._data_bytes + len(self._line)} dropped={self.dropped}>"

    def feed(self, piece: bytes) -> list[SseEvent]:
        """The events that this piece completes."""
        if self._at_start:
            piece = self._without_bom(piece)
        if self._skip_lf and piece:
            self._skip_lf = False
            piece = piece.removeprefix(b"\n")
        if not piece:
            return []
        self._skip_lf = piece.endswith(b"\r")
        lines = _LINE_END.split(piece)
        rest = lines.pop()
        events: list[SseEvent] = []
        for line in lines:
            if self._line:
                self._line += line
                line = bytes(self._line)
                self._line.clear()
            if line:
                self._take_line(line)
            else:
                self._dispatch(events)
        self._hold(rest)
        return events

    def close(self) -> SseEvent | None:
        """The event that the end cut off, which the rules drop; None where the stream ended between events."""
        if self._line and not self._at_start:
            self._take_line(bytes(self._line))
        self._line.clear()
        events: list[SseEvent] = []
        self._dispatch(events)
        return events[0] if events else None

    def _without_bom(self, piece: bytes) -> bytes:
        """The first bytes are held until they are seen to be a byte order mark, or none."""
        held = bytes(self._line) + piece
        self._line.clear()
        if len(held) < len(_BOM) and _BOM.startswith(held):
            self._line += held
            return b""
        self._at_start = False
        return held.removeprefix(_BOM)

    def _hold(self, rest: bytes) -> None:
        """Keep the beginning of a line, unless its event is too long already."""
        self._line += rest
        if self._data_bytes + len(self._line) > MAX_EVENT_BYTES:
            self._oversized = True
        if self._oversized and self._line:
            # A comment: enough to tell the line from a blank one.
            self._line[:] = b":"

    def _take_line(self, line: bytes) -> None:
        if self._data_bytes + len(line) > MAX_EVENT_BYTES:
            self._oversized = True
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._data_bytes += len(line)
            self._data.append(value)
        elif name == b"event":
            self._name = value[:256].decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._last_id = value[:256].decode("utf-8", "replace")
        if self._oversized:
            self._data.clear()

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._oversized:
            self.dropped += 1
        elif self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(SseEvent(self._name or "message", data, self._last_id))
        self._data = []
        self._data_bytes = 0
        self._name = ""
        self._oversized = False
