"""One conversation as a tree, read from kept bytes within a time and a size."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from app.api import wire
from app.api.messages import extensions_of
from app.api.turns import Message, Node, Place, Tree, TurnsReader
from app.clock import monotonic_ns
from app.store.reading.contents import ContentReader, KeptContent
from app.store.reading.stored import StoredConversation, StoredExchange

BUDGET_SECONDS = 2.0
MOST_READ_BYTES = 64 << 20
"""Bodies that are read for one tree."""
STEP = 20
"""Exchanges that are read at a time."""
PREVIEW_CHARACTERS = 200

Read = tuple[StoredExchange, KeptContent | None]


class ConversationReader:
    """Makes trees of conversations of one store."""

    def __init__(self, contents: ContentReader, read_turns: TurnsReader) -> None:
        self._contents = contents
        self._read_turns = read_turns

    async def read(
        self, conversation: StoredConversation, exchanges: Sequence[StoredExchange], *, with_messages: bool
    ) -> dict[str, Any]:
        """A conversation as the wire has it. `exchanges` are its first, in the order in which they began."""
        tree, kept, looked_at = Tree(), 0, 0
        async for step in self._steps(exchanges):
            looked_at += len(step)
            kept += await asyncio.to_thread(self._add, tree, step)
        told = {
            **wire.conversation(conversation),
            "turns": [_turn(each, tree.places.get(each.id)) for each in exchanges[:looked_at]],
            "kept": kept,
            "incomplete": looked_at < conversation.exchanges,
        }
        # With the standard library: parts hold whatever numbers a model wrote.
        nodes = await asyncio.to_thread(
            lambda: [_node(each, with_messages=with_messages) for each in tree.nodes]
        )
        text = await asyncio.to_thread(json.dumps, nodes, ensure_ascii=False, separators=(",", ":"))
        return {**told, "nodes": msgspec.Raw(text.encode())}

    async def _steps(self, exchanges: Sequence[StoredExchange]) -> AsyncIterator[list[Read]]:
        """Exchanges with what is kept of them, one step at least, as far as time and size reach."""
        deadline = monotonic_ns() + int(BUDGET_SECONDS * 1e9)
        left = MOST_READ_BYTES
        begin = 0
        while begin < len(exchanges):
            end, size = begin, 0
            while end < min(len(exchanges), begin + STEP) and (end == begin or size < MOST_READ_BYTES // 8):
                size += exchanges[end].request_bytes + exchanges[end].response_bytes
                end += 1
            left -= size
            if begin and (left < 0 or monotonic_ns() > deadline):
                return
            yield [each async for each in self._contents.read(exchanges[begin:end])]
            begin = end

    def _add(self, tree: Tree, step: Sequence[Read]) -> int:
        """Adds exchanges; gives how many had bodies."""
        kept = 0
        for stored, content in step:
            if content is not None and content.has_bodies:
                extensions = extensions_of(stored, content.headers)
                tree.add(stored, *self._read_turns(stored, content.request, content.response, extensions))
                kept += 1
        return kept


def _turn(stored: StoredExchange, place: Place | None) -> dict[str, Any]:
    """An exchange, and where it stands in the tree."""
    question = None if place is None else place.question
    return {
        "exchange_id": str(stored.id),
        "parent_id": None if stored.parent_id is None else str(stored.parent_id),
        "joined_by": stored.joined_by,
        "started_at": wire.time(stored.started_at),
        "duration_ms": wire.milliseconds(stored.duration_us),
        "model": stored.model or stored.model_served,
        "status": stored.status,
        "outcome": stored.outcome,
        "finish_reason": stored.finish_reason,
        "input_tokens": stored.input_tokens,
        "output_tokens": stored.output_tokens,
        "cost": wire.money(stored.cost),
        "asked": None if question is None else question.id,
        "answered": [] if place is None else [each.id for each in place.answers],
        "shortened": place is not None and place.is_shortened,
    }


def _node(node: Node, *, with_messages: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": node.id,
        "parent_id": node.parent_id,
        "role": node.role,
        "exchange_ids": [str(each) for each in node.exchanges],
        "preview": preview(node.messages),
    }
    return told | {"messages": node.messages} if with_messages else told


def preview(messages: Sequence[Message]) -> str:
    """The beginning of what was said: words, calls of tools, and what else there is by its kind."""
    parts: list[str] = []
    for message in messages:
        if text := message["text"] or message["refusal"]:
            parts.append(text[: 2 * PREVIEW_CHARACTERS])
        parts += [_called(call)[: 2 * PREVIEW_CHARACTERS] for call in message["tool_calls"]]
        if not parts:
            parts += [f"[{part.get('type')}]" for part in message["parts"] if isinstance(part, dict)]
    said = " ".join(" ".join(parts).split())
    return said if len(said) <= PREVIEW_CHARACTERS else said[: PREVIEW_CHARACTERS - 1] + "…"


def _called(call: Message) -> str:
    return f"{call['name'] or '?'}({call['arguments'] or ''})"
