"""Recorded bodies as the objects of OpenAI's read API; pure."""

from __future__ import annotations

from app.store.reading.stored import StoredExchange

Fields = dict[str, object]


def completion(stored: StoredExchange, item_id: str, asked: Fields, told: Fields) -> Fields:
    """A `chat.completion`; what the answer lacks of the required fields is filled in."""
    choices = told.get("choices")
    return {
        "created": int(stored.started_at.timestamp()),
        "model": stored.model_served or stored.model or "",
        "metadata": asked.get("metadata"),
        **told,
        "id": item_id,
        "object": "chat.completion",
        "choices": [_choice(each) for each in choices if isinstance(each, dict)]
        if isinstance(choices, list)
        else [],
    }


def response(stored: StoredExchange, item_id: str, asked: Fields, told: Fields) -> Fields:
    """A `response`; what the answer lacks of the required fields is filled in."""
    return {
        "created_at": stored.started_at.timestamp(),
        "model": stored.model_served or stored.model or "",
        "metadata": asked.get("metadata"),
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **told,
        "id": item_id,
        "object": "response",
    }


def sent_messages(item_id: str, asked: Fields) -> list[Fields]:
    """The messages of a request, each with an id; typed parts stand in `content_parts`."""
    messages = asked.get("messages")
    found: list[Fields] = []
    for number, each in enumerate(messages if isinstance(messages, list) else []):
        if isinstance(each, dict):
            content = each.get("content")
            parts = content if isinstance(content, list) else None
            text = content if isinstance(content, str) else None
            found.append({**each, "id": f"{item_id}-{number}", "content": text, "content_parts": parts})
    return found


def input_items(item_id: str, asked: Fields) -> list[Fields]:
    """The items that a request gave as `input`, each with an id and a type."""
    given = asked.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    found: list[Fields] = []
    for number, each in enumerate(items if isinstance(items, list) else []):
        if isinstance(each, dict):
            item: Fields = {"id": f"{item_id}-{number}", "type": "message", **each}
            if item["type"] == "message" and isinstance(item.get("content"), str):
                kind = "output_text" if item.get("role") == "assistant" else "input_text"
                more: Fields = {"annotations": []} if kind == "output_text" else {}
                item["content"] = [{"type": kind, "text": item["content"], **more}]
            found.append(item)
    return found


def _choice(choice: Fields) -> Fields:
    message = choice.get("message")
    fields = {"content": None, "refusal": None, **(message if isinstance(message, dict) else {})}
    return {"logprobs": None, **choice, "message": fields}
