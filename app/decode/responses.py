"""Responses: the input items of a request, and of a whole answer (or a stream that was folded to one).

An answer becomes one message: its texts, tool calls and thoughts in order, with all output items as its parts.
"""

from __future__ import annotations

from app.decode.envelope import read_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str
from app.decode.parts import PART_STRING_CHARACTERS, Content, joined, joined_text, read_content
from app.decode.toolcalls import compact
from app.decode.values import Answer, Message, ToolCall

MAX_MESSAGES = 10_000

CALL_TEXTS = {"function_call": "arguments", "custom_tool_call": "input", "mcp_call": "arguments"}
"""Items that are calls of tools, and where the text of the call stands."""


def read_responses_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """Instructions, then the input: a text of the user's, or items in order."""
    messages: list[Message] = []
    instructions = body.get("instructions")
    if instructions:
        content = read_content(instructions, cleaner)
        messages.append(_request_message("system", content))
    given = body.get("input")
    if isinstance(given, str):
        messages.append(_request_message("user", read_content(given, cleaner)))
    items = as_list(given)
    if len(items) > MAX_MESSAGES:
        cleaner.flags.add("cut")
    messages.extend(_read_item(item, cleaner) for item in items[:MAX_MESSAGES])
    return messages


def read_responses_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """A `response` object; its status is the finish reason, `incomplete` and `failed` among them."""
    status = cleaner.label(body.get("status"))
    output = as_list(body.get("output"))
    if len(output) > MAX_MESSAGES:
        cleaner.flags.add("cut")
    items = [as_dict(item) for item in output[:MAX_MESSAGES]]
    return Answer(
        upstream_id=cleaner.label(body.get("id")),
        model=cleaner.label(body.get("model")),
        usage=body.get("usage"),
        service_tier=cleaner.label(body.get("service_tier")),
        finish_reason=status,
        error=read_error(body.get("error"), cleaner),
        messages=[_answer_message(items, status, cleaner)] if items else [],
    )


def _answer_message(items: list[dict[str, object]], status: str | None, cleaner: TextCleaner) -> Message:
    contents = [read_content(item.get("content"), cleaner) for item in items if item.get("type") == "message"]
    texts = [content.text for content in contents if content.text is not None]
    others = [item for item in items if item.get("type") != "message"]
    role = next((as_str(item.get("role")) for item in items if item.get("type") == "message"), None)
    return Message(
        direction="response",
        choice=0,
        role=cleaner.label(role) or "assistant",
        text=cleaner.text("".join(texts)) if texts else None,
        parts=[part for content in contents for part in content.parts]
        + [cleaner.json(item, PART_STRING_CHARACTERS) for item in others],
        tool_calls=[call for item in items if (call := _tool_call(item, cleaner)) is not None],
        refusal=joined([content.refusal or "" for content in contents], cleaner),
        reasoning=joined([_thought(item) for item in items], cleaner),
        finish_reason=status,
    )


def _read_item(value: object, cleaner: TextCleaner) -> Message:
    """One input item as a message: a message, a call, what a tool gave, a thought, or anything else."""
    if isinstance(value, str):
        return _request_message("user", read_content(value, cleaner))
    item = as_dict(value)
    kind = as_str(item.get("type")) or "message"
    if kind == "message":
        role = cleaner.label(item.get("role")) or "user"
        return _request_message(role, read_content(item.get("content"), cleaner))
    if kind.endswith("_output"):
        content = read_content(item.get("output"), cleaner)
        return _request_message("tool", content)
    call = _tool_call(item, cleaner)
    if call is not None:
        return Message("request", None, "assistant", None, tool_calls=[call])
    return Message(
        direction="request",
        choice=None,
        role="assistant",
        text=None,
        parts=[] if kind == "reasoning" else [cleaner.json(item, PART_STRING_CHARACTERS)],
        reasoning=joined([_thought(item)], cleaner),
    )


def _request_message(role: str, content: Content) -> Message:
    return Message(
        direction="request",
        choice=None,
        role=role,
        text=content.text,
        parts=content.parts,
        refusal=content.refusal,
        reasoning=content.reasoning,
    )


def _tool_call(item: dict[str, object], cleaner: TextCleaner) -> ToolCall | None:
    field_name = CALL_TEXTS.get(as_str(item.get("type")) or "")
    if field_name is None:
        return None
    arguments = item.get(field_name)
    if arguments is not None and not isinstance(arguments, str):
        arguments = compact(arguments)
    return ToolCall(
        id=cleaner.label(item.get("call_id")) or cleaner.label(item.get("id")),
        name=cleaner.label(item.get("name")),
        arguments=cleaner.text(arguments) if isinstance(arguments, str) else None,
    )


def _thought(item: dict[str, object]) -> str:
    """The open text of a reasoning item, else its summary."""
    if item.get("type") != "reasoning":
        return ""
    return joined_text(item.get("content")) or joined_text(item.get("summary"))
