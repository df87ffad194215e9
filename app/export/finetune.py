"""OpenAI's format for supervised fine-tuning: one chat a line, valid for upload.

Its rules (FineTuneChatRequestInput of OpenAI's description): `messages` with roles system, user, assistant and tool;
the last one is the assistant's; each call of a tool is a function's, and is answered before anybody else speaks; only
users send pictures, by address here; `weight` 0 or 1 on assistants alone. Earlier answers get weight 0: they are, or
were, examples of their own.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from app.export.jsonl import json_of
from app.export.values import Exported, Writer

REASONS: dict[str, str] = {
    "not_completed": "the exchange did not complete with a status of 2xx",
    "no_messages": "its messages are not kept, or it is no talk",
    "context_elsewhere": "it goes on a conversation that the provider keeps",
    "cut": "the answer was cut, filtered or failed",
    "refused": "the answer is a refusal",
    "empty": "a message, or the answer, holds nothing",
    "media": "it holds pictures, sounds or files that cannot be named by address",
    "tools": "a call of a tool is no function's, or is not answered where it must be",
    "role": "a message has a role that the format does not know",
}
"""Why an exchange is left out."""

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_WHOLE = frozenset(
    {None, "stop", "tool_calls", "function_call", "completed", "end_turn", "tool_use", "stop_sequence"}
)
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PASSED_OVER = ("reasoning",)
_CUT_URL_CHARACTERS = 1_024
"""Addresses of this length may have been cut by the decoder."""


class _LeftOut(Exception):
    """The exchange cannot be an example; the argument is one of REASONS."""


class FinetuneWriter(Writer):
    """A line an example, and nothing for what cannot be one; `left_out` counts these.

    `with_ids` has each line be {"id", "example"} or {"id", "left_out"}, so that nothing goes unsaid and an export can
    be gone on with; `jq -c 'select(.example).example'` makes the file to upload.
    """

    def __init__(self, *, with_ids: bool) -> None:
        self._with_ids = with_ids
        self.left_out: Counter[str] = Counter()

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def add(self, exported: Exported) -> bytes:
        """One line, or none."""
        told: dict[str, Any] = {"id": exported.record["id"]}
        try:
            told["example"] = example(exported)
        except _LeftOut as reason:
            self.left_out[str(reason)] += 1
            told["left_out"] = str(reason)
        line = told if self._with_ids else told.get("example")
        return b"" if line is None else bytes(json_of(line) or b"") + b"\n"

    def end(self) -> bytes:
        """Nothing."""
        return b""


def why_left_out(exported: Exported) -> str | None:
    """One of REASONS, or None where the exchange is an example."""
    try:
        example(exported)
    except _LeftOut as reason:
        return str(reason)
    return None


def example(exported: Exported) -> dict[str, Any]:
    """The example that an exchange is; raises _LeftOut."""
    record, fields = exported.record, exported.request_fields
    if record["outcome"] != "completed" or not 200 <= (record.get("status") or 0) < 300:
        raise _LeftOut("not_completed")
    if fields.get("previous_response_id") or fields.get("conversation"):
        raise _LeftOut("context_elsewhere")
    asked = [each for each in exported.messages or () if each["direction"] == "request"]
    answer = [
        each for each in exported.messages or () if each["direction"] == "response" and not each["choice"]
    ]
    if not asked or not answer:
        raise _LeftOut("no_messages")
    _judge_answer(answer)
    messages = _merged([each for message in (*asked, *answer) if (each := _message(message)) is not None])
    _judge_order(messages)
    for message in messages[:-1]:
        if message["role"] == "assistant":
            message["weight"] = 0
    made: dict[str, Any] = {"messages": messages}
    called = any(message.get("tool_calls") for message in messages)
    if tools := _tools(fields.get("tools")):
        made["tools"] = tools
        if isinstance(fields.get("parallel_tool_calls"), bool):
            made["parallel_tool_calls"] = fields["parallel_tool_calls"]
    elif called:
        # A call of what was never offered.
        raise _LeftOut("tools")
    return made


def _judge_answer(answer: list[dict[str, Any]]) -> None:
    if any(message.get("refusal") for message in answer):
        raise _LeftOut("refused")
    if any(message.get("finish_reason") not in _WHOLE for message in answer):
        raise _LeftOut("cut")
    if any(message["role"] != "assistant" for message in answer):
        # Tools that the provider ran itself.
        raise _LeftOut("tools")


def _message(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """One message of an example; None where it holds thoughts alone, or is an earlier answer that holds nothing."""
    role = _ROLES.get(message["role"])
    if role is None:
        raise _LeftOut("tools" if message["role"] == "function" else "role")
    made: dict[str, Any] = {"role": role}
    content = _content(message, role)
    if content:
        made["content"] = content
    if calls := [_call(each) for each in message["tool_calls"]]:
        made["tool_calls"] = calls
    if role == "tool":
        if not message.get("tool_call_id"):
            raise _LeftOut("tools")
        made["tool_call_id"] = message["tool_call_id"]
        made.setdefault("content", "")
    if message.get("name") and _NAME.fullmatch(message["name"]) and role in ("system", "user", "assistant"):
        made["name"] = message["name"]
    if "content" not in made and "tool_calls" not in made:
        is_thought = message.get("reasoning") or _kinds(message) & set(_PASSED_OVER)
        if is_thought or (role == "assistant" and message["direction"] == "request"):
            # Programs send an empty text before the calls that belong to it.
            return None
        raise _LeftOut("empty")
    return made


def _kinds(message: Mapping[str, Any]) -> set[Any]:
    return {part.get("type") if isinstance(part, dict) else None for part in message["parts"]}


def _content(message: Mapping[str, Any], role: str) -> Any:
    """A text, or a list of parts where pictures are among them."""
    others = _kinds(message) - {"text", "refusal", *_PASSED_OVER}
    if not others:
        return message.get("text") or message.get("refusal")
    if role != "user" or others != {"image"}:
        raise _LeftOut(
            "tools" if role == "assistant" and not others & {"image", "audio", "video", "file"} else "media"
        )
    return [_user_part(part) for part in message["parts"] if part.get("type") not in _PASSED_OVER]


def _user_part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] != "image":
        return {"type": "text", "text": part.get("text") or part.get("refusal") or ""}
    url = part.get("url")
    if (
        not isinstance(url, str)
        or not url.startswith(("https://", "http://"))
        or len(url) >= _CUT_URL_CHARACTERS
    ):
        raise _LeftOut("media")
    image: dict[str, Any] = {"url": url}
    if part.get("detail") in ("auto", "low", "high"):
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    name, arguments = call.get("name"), call.get("arguments") or "{}"
    if not call.get("id") or not name or not _NAME.fullmatch(name):
        raise _LeftOut("tools")
    try:
        is_object = isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        # Another kind of tool takes free text.
        raise _LeftOut("tools")
    return {"id": call["id"], "type": "function", "function": {"name": name, "arguments": arguments}}


def _merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages of the assistant that follow each other in one: an API that has items tells text and calls apart."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        before = merged[-1] if merged else None
        if before is None or before["role"] != "assistant" or message["role"] != "assistant":
            merged.append(message)
            continue
        texts = [each["content"] for each in (before, message) if each.get("content")]
        calls = [*before.get("tool_calls", ()), *message.get("tool_calls", ())]
        if texts:
            before["content"] = "\n".join(texts)
        if calls:
            before["tool_calls"] = calls
    return merged


def _judge_order(messages: list[dict[str, Any]]) -> None:
    """Raises where a call is not answered at once, an answer was not asked for, or the end is not the assistant's."""
    if not messages or messages[-1]["role"] != "assistant":
        raise _LeftOut("empty")
    if not any(message["role"] == "user" for message in messages):
        raise _LeftOut("empty")
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise _LeftOut("tools")
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            raise _LeftOut("tools")
        called = [call["id"] for call in message.get("tool_calls", ())]
        waiting = set(called)
        if len(waiting) != len(called):
            raise _LeftOut("tools")


def _tools(offered: Any) -> list[dict[str, Any]]:
    """The functions among the tools that were offered, whichever API spells them."""
    return [made for tool in offered if (made := _tool(tool))] if isinstance(offered, list) else []


def _tool(tool: Any) -> dict[str, Any] | None:
    if not isinstance(tool, dict):
        return None
    if isinstance(tool.get("function"), dict):
        function = tool["function"]
    elif tool.get("type") == "function" or "input_schema" in tool:
        function = tool
    else:
        return None
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return None
    made: dict[str, Any] = {"name": name}
    if isinstance(function.get("description"), str):
        made["description"] = function["description"]
    parameters = function.get("parameters", function.get("input_schema"))
    if isinstance(parameters, dict):
        made["parameters"] = parameters
    if isinstance(function.get("strict"), bool):
        made["strict"] = function["strict"]
    return {"type": "function", "function": made}


def summary(left_out: Mapping[str, int]) -> Iterable[str]:
    """A line a reason, the most frequent first."""
    for reason, count in sorted(left_out.items(), key=lambda item: -item[1]):
        yield f"{count}: {REASONS.get(reason, reason)}"
