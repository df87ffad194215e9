"""JSON Lines: each line is what the REST API gives for one exchange."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from app.export.values import Exported, Writer


class JsonlWriter(Writer):
    """A line an exchange; its `id` is where to go on."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def add(self, exported: Exported) -> bytes:
        """One line."""
        told = {**exported.record, "messages": json_of(exported.messages)}
        return msgspec.json.encode(told) + b"\n"

    def end(self) -> bytes:
        """Nothing."""
        return b""


def json_of(value: Any) -> msgspec.Raw | None:
    """JSON by the standard library: models write numbers beyond 64 bits, which msgspec refuses."""
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return msgspec.Raw(text.encode("utf-8", "replace"))
