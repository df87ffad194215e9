"""Anthropic's `/v1/messages`: the messages of a request, of a whole answer, and of a stream folded to one.

What tools gave stands inside a user's message there; it becomes messages of their own, as in OpenAI's API.
"""

from __future__ import annotations

from dataclasses import replace

from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str
from app.decode.parts import Content, read_content
from app.decode.toolcalls import compact
from app.decode.values import Answer, Message, ToolCall

MAX_MESSAGES = 10_000
CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")
"""Blocks in which the model calls a tool: the client's, the provider's, an MCP server's."""
RESULT = "tool_result"


def read_anthropic_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """The system prompt, then the messages in order."""
    messages: list[Message] = []
    system = body.get("system")
    if system:
        messages.append(_message("system", read_content(system, cleaner)))
    for item in as_list(body.get("messages")):
        if len(messages) >= MAX_MESSAGES:
            cleaner.flags.add("cut")
            break
        messages.extend(_read_turn(as_dict(item), cleaner))
    return messages[:MAX_MESSAGES]


def read_anthropic_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """A `message` object; its stop reason is the finish reason."""
    finish_reason = cleaner.label(body.get("stop_reason"))
    blocks = as_list(body.get("content"))
    has_message = bool(blocks) or body.get("type") == "message"
    message = _turn_message(cleaner.label(body.get("role")) or "assistant", blocks, cleaner)
    return Answer(
        upstream_id=cleaner.label(body.get("id")),
        model=cleaner.label(body.get("model")),
        usage=body.get("usage"),
        service_tier=cleaner.label(as_dict(body.get("usage")).get("service_tier")),
        finish_reason=finish_reason,
        messages=[replace(message, direction="response", choice=0, finish_reason=finish_reason)]
        if has_message
        else [],
    )


def _read_turn(item: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """One message of a request: what tools gave first, as it must stand, then what was said."""
    role = cleaner.label(item.get("role")) or "user"
    content = item.get("content")
    blocks = as_list(content)
    if not blocks:
        return [_message(role, read_content(content, cleaner))]
    results = [fields for block in blocks if (fields := as_dict(block)).get("type") == RESULT]
    messages = [_tool_result(fields, cleaner) for fields in results]
    rest = [block for block in blocks if as_dict(block).get("type") != RESULT] if results else blocks
    if rest:
        messages.append(_turn_message(role, rest, cleaner))
    return messages


def _turn_message(role: str, blocks: list[object], cleaner: TextCleaner) -> Message:
    calls: list[ToolCall] = []
    others: list[object] = []
    for block in blocks:
        fields = as_dict(block)
        if fields.get("type") in CALLS:
            calls.append(_tool_call(fields, cleaner))
        else:
            others.append(block)
    content = read_content(others, cleaner) if others or not calls else Content(None)
    return replace(_message(role, content), tool_calls=calls)


def _tool_result(block: dict[str, object], cleaner: TextCleaner) -> Message:
    content = read_content(block.get("content"), cleaner)
    if content.text is None and not content.parts:
        content = Content("")
    if block.get("is_error") is True:
        content = replace(content, parts=[*content.parts, {"type": "error", "is_error": True}])
    return replace(_message("tool", content), tool_call_id=cleaner.label(block.get("tool_use_id")))


def _tool_call(block: dict[str, object], cleaner: TextCleaner) -> ToolCall:
    given = block.get("input")
    if given is not None and not isinstance(given, str):
        given = compact(given)
    return ToolCall(
        id=cleaner.label(block.get("id")),
        name=cleaner.label(block.get("name")),
        arguments=cleaner.text(given) if isinstance(given, str) else None,
    )


def _message(role: str, content: Content) -> Message:
    return Message(
        direction="request",
        choice=None,
        role=role,
        text=content.text,
        parts=content.parts,
        refusal=content.refusal,
        reasoning=content.reasoning,
    )


def read_token_count(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """How many tokens a request would have: `messages/count_tokens`, `responses/input_tokens`. Nothing is used."""
    count = cleaner.label(body.get("input_tokens"))
    return Answer(summary=f"{count} input tokens" if count else as_str(body.get("object")))
