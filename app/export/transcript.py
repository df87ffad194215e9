"""Transcripts to read: plain text and Markdown, in which logged text cannot pass for a heading."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.export.plain_text import plain, plain_line
from app.export.values import Exported, Writer

INDENT = "  "
RULE = "─" * 80
_BACKTICKS = re.compile(r"`+")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~&!$])")

Lines = Iterator[str]


class TextWriter(Writer):
    """Plain text: what was said is indented, headings are not."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def add(self, exported: Exported) -> bytes:
        """One transcript."""
        return _encoded("\n".join(text_lines(exported)) + "\n\n")

    def end(self) -> bytes:
        """Nothing."""
        return b""


class MarkdownWriter(Writer):
    """Markdown: what was said stands in fences that it cannot close."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def add(self, exported: Exported) -> bytes:
        """One transcript."""
        return _encoded("\n".join(_markdown_lines(exported)) + "\n\n")

    def end(self) -> bytes:
        """Nothing."""
        return b""


def text_lines(exported: Exported) -> Lines:
    """The lines of one transcript, safe for a terminal."""
    yield RULE
    yield heading(exported.record)
    yield plain_line(f"id {exported.record['id']}  {exported.record['method']} {exported.record['path']}")
    yield from _labels(exported.record, plain_line)
    yield RULE
    for title, text in said(exported):
        yield f"[{plain_line(title)}]"
        yield from (f"{INDENT}{line}" for line in plain(text).split("\n"))
        yield ""


def _markdown_lines(exported: Exported) -> Lines:
    record = exported.record
    yield f"## {_escaped(heading(record))}"
    yield ""
    yield f"- `{record['id']}`"
    yield f"- {_escaped(plain_line(' '.join((record['method'], record['path']))))}"
    for label in _labels(record, plain_line):
        yield f"- {_escaped(label)}"
    yield ""
    for title, text in said(exported):
        yield f"### {_escaped(plain_line(title))}"
        yield ""
        fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
        yield f"{fence}text"
        yield plain(text)
        yield fence
        yield ""


def heading(record: Mapping[str, Any]) -> str:
    """When, which model, how it ended, how long, how many tokens, what it cost."""
    usage: Mapping[str, Any] = record.get("usage") or {}
    parts = [
        record["started_at"],
        record.get("model") or "(no model)",
        f"{record.get('status') or '-'} {record['outcome']}",
        f"{record['duration_ms'] / 1000:.1f} s",
    ]
    if usage.get("input_tokens") is not None or usage.get("output_tokens") is not None:
        parts.append(f"{usage.get('input_tokens') or 0}+{usage.get('output_tokens') or 0} tokens")
    if record.get("cost") is not None:
        parts.append(f"${record['cost']}")
    return plain_line("  ".join(parts))


def said(exported: Exported) -> Iterator[tuple[str, str]]:
    """What each message says under which title; one entry says so where nothing is known."""
    if exported.messages is None:
        yield (
            "not kept",
            f"(the messages are not kept or cannot be read: {exported.record['capture_status']})",
        )
    for message in exported.messages or ():
        yield _title(message), "\n".join(_texts(message))


def _title(message: Mapping[str, Any]) -> str:
    parts = [message["role"]]
    if message.get("name"):
        parts.append(f"({message['name']})")
    if message.get("tool_call_id"):
        parts.append(f"answers {message['tool_call_id']}")
    if message["direction"] == "response":
        parts.append("answered" if not message.get("choice") else f"answered, choice {message['choice']}")
    return " ".join(parts)


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    kinds = [part.get("type") if isinstance(part, dict) else None for part in message["parts"]]
    if message.get("reasoning") and "reasoning" not in kinds:
        yield f"(reasoning) {message['reasoning']}"
    for part in message["parts"]:
        yield _part(part)
    if message.get("text") and "text" not in kinds:
        yield message["text"]
    if message.get("refusal") and "refusal" not in kinds:
        yield f"(refusal) {message['refusal']}"
    for call in message["tool_calls"]:
        name, arguments = call.get("name") or "?", call.get("arguments") or ""
        yield f"(calls {name}{_named(call.get('id'))}) {arguments}"


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return f"({type(part).__name__})"
    kind = part.get("type")
    if kind == "text":
        return str(part.get("text") or "")
    if kind == "reasoning":
        return f"(reasoning) {part.get('text') or '(encrypted)'}"
    if kind == "refusal":
        return f"(refusal) {part.get('refusal')}"
    told = [f"{name} {part[name]}" for name in ("filename", "url", "file_id", "transcript") if part.get(name)]
    if part.get("size_bytes") is not None:
        told.append(f"{part['size_bytes']} bytes, sha256 {part.get('sha256')}")
    return f"({' '.join([str(kind), *told])})"


def _labels(record: Mapping[str, Any], clean: Callable[[str], str]) -> Lines:
    for name in ("user", "conversation", "project", "key"):
        if record.get(name):
            yield clean(f"{name} {record[name]}")
    for name, value in (record.get("tags") or {}).items():
        yield clean(f"tag {name}: {value}")
    if record.get("error_type") or record.get("error_code"):
        yield clean(f"error {record.get('error_type') or ''} {record.get('error_code') or ''}")


def _named(call_id: Any) -> str:
    return f" as {call_id}" if call_id else ""


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")
