"""What makes meaning of kept bytes for the console; whoever puts it together brings them."""

from __future__ import annotations

from dataclasses import dataclass

from app.api.exporter import FieldsReader
from app.api.messages import MessageReader
from app.api.openai_record import ObjectsReader
from app.api.turns import TurnsReader


@dataclass(frozen=True, slots=True)
class Readers:
    """One of each kind."""

    messages: MessageReader
    fields: FieldsReader
    """What a request sets beside what it says."""
    turns: TurnsReader
    """Turns of conversations."""
    objects: ObjectsReader
    """The objects of OpenAI's read API."""
