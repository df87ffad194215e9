"""Messages as the console shows them: every message with all its parts, whatever form its content had."""

from __future__ import annotations

from app.decode.content import decode_content
from app.decode.dispatch import decode_exchange
from app.decode.identity import Turn, said_turns
from app.decode.jsonsafe import as_dict, read_json
from app.decode.values import Message, Request, Response

SAID_FIELDS = frozenset(("messages", "input", "prompt", "instructions", "system", "data"))
"""Fields of requests that hold what was said."""


def shown_messages(request: Request, response: Response) -> list[dict[str, object]]:
    """The messages of an exchange in order, as JSON values; empty where no decoder knows any."""
    return [show_message(message) for message in decode_exchange(request, response).messages]


def talked_turns(request: Request, response: Response) -> tuple[list[Turn], list[Turn]]:
    """What an exchange asked in turns, and the turn that each of its answers makes; for show_message."""
    return said_turns(decode_exchange(request, response).messages)


def request_fields(request: Request) -> dict[str, object]:
    """The fields of a JSON request but what was said; empty where it is none, or was too large to be read."""
    body, _ = decode_content(request.body or b"", request.content_encoding)
    if not body.lstrip().startswith(b"{"):
        return {}
    fields = as_dict(read_json(body, set()))
    return {name: value for name, value in fields.items() if name not in SAID_FIELDS}


def show_message(message: Message) -> dict[str, object]:
    """One message; its parts are never left to be guessed from its text."""
    return {
        "direction": message.direction,
        "choice": message.choice,
        "role": message.role,
        "name": message.name,
        "text": message.text,
        "parts": _all_parts(message),
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.tool_calls
        ],
        "tool_call_id": message.tool_call_id,
        "refusal": message.refusal,
        "reasoning": message.reasoning,
        "finish_reason": message.finish_reason,
    }


def _all_parts(message: Message) -> list[object]:
    """The parts, and those of what stood in fields of its own: thoughts first, a refusal last."""
    parts = list(message.parts)
    kinds = [part.get("type") if isinstance(part, dict) else None for part in parts]
    if not parts and message.text:
        parts.append({"type": "text", "text": message.text})
    if message.reasoning and "reasoning" not in kinds:
        parts.insert(0, {"type": "reasoning", "text": message.reasoning})
    if message.refusal and "refusal" not in kinds:
        parts.append({"type": "refusal", "refusal": message.refusal})
    return parts
