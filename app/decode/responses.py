"""Responses: the input items of a request, and of a whole answer (or a stream that was folded to one).

An answer becomes one message: its texts, tool calls and thoughts in order, with all other output items as its parts.
"""

from __future__ import annotations

from dataclasses import replace

from app.decode.envelope import read_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str
from app.decode.parts import Content, joined, joined_text, read_content, read_part, text_part
from app.decode.toolcalls import compact
from app.decode.values import Answer, Message, ToolCall

MAX_MESSAGES = 10_000

CALL_TEXTS: dict[str, tuple[str, ...]] = {
    "function_call": ("arguments",),
    "custom_tool_call": ("input",),
    "mcp_call": ("arguments",),
    "computer_call": ("action", "actions"),
    "local_shell_call": ("action",),
    "shell_call": ("action",),
    "apply_patch_call": ("operation",),
    "tool_search_call": ("arguments",),
}
"""Items that are calls of tools by the model, and where what it asked for stands. What the provider runs by itself
(searches, code) is a part of the answer."""
NAMED_CALLS = ("function_call", "custom_tool_call", "mcp_call")
"""Calls that tell the tool's name; it is the kind that names the others."""
ONLY_CALLS = frozenset(CALL_TEXTS) - {"mcp_call"}
"""Calls that hold nothing else; an `mcp_call` has its result, too, and so is a part as well."""
OUTPUT_FIELDS = ("output", "result", "tools", "outputs")


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


def read_input_items(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """The list of a stored response's input items."""
    items = as_list(body.get("data"))
    if len(items) > MAX_MESSAGES:
        cleaner.flags.add("cut")
    messages = [_read_item(item, cleaner) for item in items[:MAX_MESSAGES]]
    return Answer(messages=[replace(message, direction="response") for message in messages])


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
    role = next((as_str(item.get("role")) for item in items if item.get("type") == "message"), None)
    return Message(
        direction="response",
        choice=0,
        role=cleaner.label(role) or "assistant",
        text=cleaner.text("".join(texts)) if texts else None,
        parts=_answer_parts(items, contents, cleaner),
        tool_calls=[call for item in items if (call := _tool_call(item, cleaner)) is not None],
        refusal=joined([content.refusal or "" for content in contents], cleaner),
        reasoning=joined([_thought(item) for item in items], cleaner),
        finish_reason=status,
    )


def _answer_parts(
    items: list[dict[str, object]], contents: list[Content], cleaner: TextCleaner
) -> list[object]:
    """All parts in the order of the items; none where there is nothing but one text and calls."""
    parts: list[object] = []
    is_plain = True
    following = iter(contents)
    for item in items:
        kind = as_str(item.get("type"))
        if kind == "message":
            content = next(following)
            is_plain = is_plain and not content.parts
            parts.extend(content.parts or ([text_part(content.text)] if content.text else []))
        elif kind not in ONLY_CALLS:
            is_plain = False
            parts.append(read_part(item, cleaner))
    return [] if is_plain and len(parts) <= 1 else parts


def _read_item(value: object, cleaner: TextCleaner) -> Message:
    """One input item as a message: a message, a call, what a tool gave, a thought, or anything else."""
    if isinstance(value, str):
        return _request_message("user", read_content(value, cleaner))
    item = as_dict(value)
    kind = as_str(item.get("type")) or "message"
    if kind == "message":
        role = cleaner.label(item.get("role")) or "user"
        return _request_message(role, read_content(item.get("content"), cleaner))
    if kind.endswith("_output") or kind == "mcp_approval_response":
        return _tool_result(item, cleaner)
    call = _tool_call(item, cleaner)
    return Message(
        direction="request",
        choice=None,
        role="assistant",
        text=None,
        parts=[] if kind in ONLY_CALLS else [read_part(item, cleaner)],
        tool_calls=[call] if call is not None else [],
        reasoning=joined([_thought(item)], cleaner),
    )


def _tool_result(item: dict[str, object], cleaner: TextCleaner) -> Message:
    """What a tool gave: text, parts, a screenshot, the outputs of shell commands."""
    given = next((item[name] for name in OUTPUT_FIELDS if item.get(name) is not None), None)
    content = read_content(given, cleaner)
    if item.get("type") == "shell_call_output" and isinstance(given, list):
        content = Content(joined([_printed(as_dict(each)) for each in given], cleaner) or "", content.parts)
    if given is None:
        content = Content(None, [read_part(item, cleaner)])
    call_id = cleaner.label(item.get("call_id")) or cleaner.label(item.get("approval_request_id"))
    return replace(_request_message("tool", content), tool_call_id=call_id)


def _printed(output: dict[str, object]) -> str:
    return (as_str(output.get("stdout")) or "") + (as_str(output.get("stderr")) or "")


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
    kind = as_str(item.get("type")) or ""
    if kind not in CALL_TEXTS:
        return None
    arguments = next((item[name] for name in CALL_TEXTS[kind] if item.get(name) is not None), None)
    if arguments is not None and not isinstance(arguments, str):
        arguments = compact(arguments)
    return ToolCall(
        id=cleaner.label(item.get("call_id")) or cleaner.label(item.get("id")),
        name=cleaner.label(item.get("name")) or (None if kind in NAMED_CALLS else kind.removesuffix("_call")),
        arguments=cleaner.text(arguments) if isinstance(arguments, str) else None,
    )


def _thought(item: dict[str, object]) -> str:
    """The open text of a reasoning item, else its summary."""
    if item.get("type") != "reasoning":
        return ""
    return joined_text(item.get("content")) or joined_text(item.get("summary"))
