"""Legacy completions: a prompt, or several, and the text that goes on from it."""

from __future__ import annotations

from app.decode.jsonsafe import TextCleaner, as_dict, as_index, as_list, as_str
from app.decode.values import Answer, Message

MAX_MESSAGES = 10_000


def read_prompts(value: object, cleaner: TextCleaner) -> list[Message]:
    """A prompt or an embedding's input as messages of a user: a text, texts, tokens, or lists of tokens."""
    if isinstance(value, str):
        return [_prompt(cleaner.text(value))]
    items = as_list(value)
    if items and not isinstance(items[0], str | list | dict):
        return [_prompt(None, [{"type": "tokens", "count": len(items)}])]
    if len(items) > MAX_MESSAGES:
        cleaner.flags.add("cut")
    messages: list[Message] = []
    for item in items[:MAX_MESSAGES]:
        if isinstance(item, str):
            messages.append(_prompt(cleaner.text(item)))
        elif isinstance(item, list):
            messages.append(_prompt(None, [{"type": "tokens", "count": len(item)}]))
        else:
            messages.append(_prompt(None, [cleaner.json(item, 1_024)]))
    return messages


def read_completions_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """The prompts of a request."""
    return read_prompts(body.get("prompt"), cleaner)


def read_completions_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """A `text_completion` object."""
    messages: list[Message] = []
    for position, item in enumerate(as_list(body.get("choices"))[:MAX_MESSAGES]):
        choice = as_dict(item)
        index = as_index(choice.get("index"))
        text = as_str(choice.get("text"))
        messages.append(
            Message(
                direction="response",
                choice=position if index is None else index,
                role="assistant",
                text=None if text is None else cleaner.text(text),
                finish_reason=cleaner.label(choice.get("finish_reason")),
            )
        )
    return Answer(
        upstream_id=cleaner.label(body.get("id")),
        model=cleaner.label(body.get("model")),
        usage=body.get("usage"),
        service_tier=cleaner.label(body.get("service_tier")),
        finish_reason=messages[0].finish_reason if messages else None,
        messages=messages,
    )


def _prompt(text: str | None, parts: list[object] | None = None) -> Message:
    return Message(direction="request", choice=None, role="user", text=text, parts=parts or [])
