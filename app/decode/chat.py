"""Chat completions: the messages of a request, and of a whole answer (or a stream that was folded to one)."""

from __future__ import annotations

from dataclasses import replace

from app.decode.jsonsafe import TextCleaner, as_dict, as_index, as_list, as_str
from app.decode.media import read_media
from app.decode.parts import Content, joined, joined_text, read_content, read_part
from app.decode.toolcalls import compact
from app.decode.values import Answer, Message, ToolCall

MAX_MESSAGES = 10_000
MAX_TOOL_CALLS = 4_096
PLAIN = frozenset({"role", "content", "refusal", "annotations"})
"""What nearly every message has, and most have nothing else."""


def read_chat_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """The messages of a request, in order."""
    items = as_list(body.get("messages"))
    if len(items) > MAX_MESSAGES:
        cleaner.flags.add("cut")
    return [read_message(as_dict(item), cleaner) for item in items[:MAX_MESSAGES]]


def read_chat_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """A `chat.completion` object."""
    messages: list[Message] = []
    for position, item in enumerate(as_list(body.get("choices"))[:MAX_MESSAGES]):
        choice = as_dict(item)
        index = as_index(choice.get("index"))
        messages.append(
            read_message(
                as_dict(choice.get("message")) or as_dict(choice.get("delta")),
                cleaner,
                choice=position if index is None else index,
                finish_reason=cleaner.label(choice.get("finish_reason")),
            )
        )
    return Answer(
        upstream_id=cleaner.label(body.get("id")),
        model=cleaner.label(body.get("model")),
        usage=as_dict(body.get("usage")) or as_dict(as_dict(body.get("x_groq")).get("usage")),
        service_tier=cleaner.label(body.get("service_tier")),
        finish_reason=messages[0].finish_reason if messages else None,
        messages=messages,
    )


def read_stored_messages(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """The list of a stored completion's messages; their parts stand in `content_parts`."""
    items = [as_dict(item) for item in as_list(body.get("data"))[:MAX_MESSAGES]]
    messages = [
        read_message({**item, "content": item.get("content_parts") or item.get("content")}, cleaner)
        for item in items
    ]
    return Answer(messages=[replace(message, direction="response") for message in messages])


def read_message(
    item: dict[str, object],
    cleaner: TextCleaner,
    choice: int | None = None,
    finish_reason: str | None = None,
) -> Message:
    """One message in chat's form; with a `choice` it belongs to an answer."""
    said = item.get("content")
    if type(said) is str and item.keys() <= PLAIN and not (item.get("refusal") or item.get("annotations")):
        return Message(
            direction="request" if choice is None else "response",
            choice=choice,
            role=cleaner.label(item.get("role")) or ("user" if choice is None else "assistant"),
            text=cleaner.text(said),
            finish_reason=finish_reason,
        )
    content = read_content(said, cleaner)
    refusal = as_str(item.get("refusal"))
    return Message(
        direction="request" if choice is None else "response",
        choice=choice,
        role=cleaner.label(item.get("role")) or ("user" if choice is None else "assistant"),
        text=content.text,
        parts=_with_media(item, content, cleaner),
        tool_calls=read_tool_calls(item, cleaner),
        refusal=cleaner.text(refusal) if refusal else content.refusal,
        reasoning=_reasoning_of(item, cleaner) or content.reasoning,
        finish_reason=finish_reason,
        tool_call_id=cleaner.label(item.get("tool_call_id")),
        name=cleaner.label(item.get("name")),
    )


def _with_media(item: dict[str, object], content: Content, cleaner: TextCleaner) -> list[object]:
    """The parts of the content, and what stands beside it: citations, spoken answers, OpenRouter's pictures."""
    images, audio = as_list(item.get("images")), as_dict(item.get("audio"))
    cited = as_list(item.get("annotations"))
    if not (images or audio or cited):
        return content.parts
    said = content.parts
    if not said and content.text:
        said = [read_part({"type": "text", "text": content.text, "annotations": cited}, cleaner)]
    beside: list[object] = [read_part(image, cleaner) for image in images]
    if audio:
        beside.append(read_media(audio, "audio", cleaner))
    return [*said, *beside]


def read_tool_calls(item: dict[str, object], cleaner: TextCleaner) -> list[ToolCall]:
    """The calls in `tool_calls`, and the one in `function_call` that came before there were any."""
    calls: list[ToolCall] = []
    given = as_list(item.get("tool_calls"))
    if len(given) > MAX_TOOL_CALLS:
        cleaner.flags.add("cut")
    for raw in given[:MAX_TOOL_CALLS]:
        call = as_dict(raw)
        detail = as_dict(call.get("function")) or as_dict(call.get("custom"))
        if call:
            calls.append(_tool_call(call.get("id"), detail, cleaner))
    legacy = as_dict(item.get("function_call"))
    if legacy:
        calls.append(_tool_call(None, legacy, cleaner))
    return calls


def _tool_call(call_id: object, detail: dict[str, object], cleaner: TextCleaner) -> ToolCall:
    arguments = detail.get("arguments", detail.get("input"))
    if arguments is not None and not isinstance(arguments, str):
        arguments = compact(arguments)
    return ToolCall(
        id=cleaner.label(call_id),
        name=cleaner.label(detail.get("name")),
        arguments=cleaner.text(arguments) if isinstance(arguments, str) else None,
    )


def _reasoning_of(item: dict[str, object], cleaner: TextCleaner) -> str | None:
    """DeepSeek's and vLLM's `reasoning_content`, OpenRouter's `reasoning`, or `reasoning_details`."""
    for name in ("reasoning_content", "reasoning", "reasoning_details"):
        value = item.get(name)
        text = joined([joined_text(value)], cleaner) if value else None
        if text:
            return text
    return None
