"""What exchanges said in turns, and the tree that the turns of a conversation make; pure.

A turn is what one speaker says in a row. A node is a turn after those above it, so what is sent again with each call
is one node, and where two exchanges go on otherwise from the same words the tree forks. An exchange stands below the
answer that it continues, though its client left out what came before; else where its words lead from the beginning.
What the system says makes no path, since it may hold the time of day: it stands beside what was asked with it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.store.reading.stored import StoredExchange

SYSTEM, ASSISTANT = "system", "assistant"
MOST_SAYERS = 100
"""Exchanges that a node names."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says; `key` is the same for the same words in whatever bytes."""

    key: bytes
    role: str
    show: Callable[[], list[Message]]
    """Its messages in the form that one exchange shows them."""


class TurnsReader(Protocol):
    """Makes turns of bytes; whoever puts the console together brings it."""

    def __call__(
        self,
        stored: StoredExchange,
        request: bytes | None,
        response: bytes | None,
        extensions: str | None = None,
    ) -> tuple[list[Turn], list[Turn]]:
        """What was asked, and the turn that each answer makes; a body that is None was too large to be read."""


@dataclass(slots=True, eq=False)
class Node:
    """A turn after those above it."""

    id: str
    parent_id: str | None
    role: str
    messages: list[Message]
    exchanges: list[uuid.UUID] = field(default_factory=list)
    """Those that said it, the first one first; not those that sent it again as history."""


@dataclass(slots=True)
class Place:
    """Where an exchange stands in the tree."""

    question: Node | None = None
    """What it asked last."""
    answers: list[Node] = field(default_factory=list)
    is_shortened: bool = False
    """It did not send all that was said above its question."""


class Tree:
    """The turns of a conversation; its exchanges are added in the order in which they began."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        """Each after the one above it."""
        self.places: dict[uuid.UUID, Place] = {}
        self._known: dict[tuple[str | None, bytes], Node] = {}
        """By the id of the node above, and the turn's key."""
        self._depths: dict[str, int] = {}
        """How many turns there are down to a node, but for the system's."""
        self._of_system: set[bytes] = set()
        """What the system said."""

    def __repr__(self) -> str:
        return f"<Tree of {len(self.nodes)} nodes>"

    def add(self, stored: StoredExchange, asked: Sequence[Turn], told: Sequence[Turn]) -> None:
        """Adds what an exchange said that was not said before."""
        above, begin, is_shortened = self._start(stored, asked)
        for position, turn in enumerate(asked):
            if turn.role == SYSTEM:
                self._say_once(above, turn, stored.id)
            elif position >= begin:
                above = self._say(above, turn, stored.id)
        answers = [self._say(above, turn, stored.id) for turn in told]
        self.places[stored.id] = Place(above, answers, is_shortened)

    def _start(self, stored: StoredExchange, asked: Sequence[Turn]) -> tuple[Node | None, int, bool]:
        """The node that an exchange goes on from, how many of its turns are above, and whether it left some out."""
        parent = None if stored.parent_id is None else self.places.get(stored.parent_id)
        if parent is not None and parent.answers:
            for position in range(len(asked) - 1, -1, -1):
                found = self._known.get((_id(parent.question), asked[position].key))
                if found is not None and found in parent.answers:
                    said = sum(each.role != SYSTEM for each in asked[: position + 1])
                    return found, position + 1, said < self._depths[found.id]
            if stored.joined_by == "response" or (stored.joined_by == "name" and stored.conversation is None):
                # The provider has what came before.
                return parent.answers[0], 0, False
        return (*self._along(asked), False)

    def _along(self, asked: Sequence[Turn]) -> tuple[Node | None, int]:
        """As far as the history, which is what stands before the last answer, is known from the beginning."""
        above: Node | None = None
        begin = 0
        answered = max((at for at, turn in enumerate(asked) if turn.role == ASSISTANT), default=-1)
        for position, turn in enumerate(asked[: answered + 1]):
            if turn.role != SYSTEM:
                node = self._known.get((_id(above), turn.key))
                if node is None:
                    break
                above, begin = node, position + 1
        return above, begin

    def _say_once(self, above: Node | None, turn: Turn, exchange_id: uuid.UUID) -> None:
        if turn.key not in self._of_system:
            self._of_system.add(turn.key)
            self._say(above, turn, exchange_id)

    def _say(self, above: Node | None, turn: Turn, exchange_id: uuid.UUID) -> Node:
        place = (_id(above), turn.key)
        node = self._known.get(place)
        if node is None:
            digest = hashlib.sha256((place[0] or "").encode() + turn.key).hexdigest()
            node = Node(digest[:32], place[0], turn.role, turn.show())
            self._known[place] = node
            self._depths[node.id] = (0 if above is None else self._depths[above.id]) + 1
            self.nodes.append(node)
        if len(node.exchanges) < MOST_SAYERS and exchange_id not in node.exchanges:
            node.exchanges.append(exchange_id)
        return node


def _id(node: Node | None) -> str | None:
    return None if node is None else node.id
