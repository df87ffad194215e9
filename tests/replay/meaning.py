"""What recordings mean: decoded here, and compared with an independent fold of the same bytes.

A recording's `folded` field holds, for a stream, `merged` (the object that a whole answer would have been) and
`usage`. The expectation is read off the object's shape, not off its kind, so that whole answers are measured by it
too; an object of no known shape is counted as not compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.decode import Decoded, Message, Request, Response, decode_exchange
from app.decode.shown import show_message
from tests.replay.recording import read_pair

Said = tuple[int | None, str, str | None, str | None, list[tuple[str | None, str | None]]]
"""Choice, text, refusal, finish reason, tools with their arguments."""
SHOWN = {
    *("direction", "choice", "role", "name", "text", "parts", "tool_calls", "tool_call_id", "refusal"),
    *("reasoning", "finish_reason"),
}
CALL_ITEMS = ("function_call", "custom_tool_call", "mcp_call")


@dataclass
class MeaningReport:
    """How many recordings were understood as the independent fold understood them."""

    total: int = 0
    streams: int = 0
    streams_agreeing: int = 0
    whole: int = 0
    whole_agreeing: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    uncompared: Counter[str] = field(default_factory=Counter)
    """Folded streams of no known shape, by their kind."""
    differences: list[str] = field(default_factory=list)

    @property
    def is_agreed(self) -> bool:
        """True where nothing differed and nothing was raised."""
        return self.total > 0 and not self.differences


def compare_meanings(file: Path) -> MeaningReport:
    """Decodes every recording of a file."""
    report = MeaningReport()
    for number, pair in enumerate(pairs(file), 1):
        if not has_answer(pair):
            continue
        report.total += 1
        try:
            decoded = decode_pair(pair)
            problems = _compare(pair, decoded, report)
        except Exception as error:  # noqa: BLE001 - decoding is total: whatever is raised is what this looks for
            problems = [f"raised {type(error).__name__}: {error}"]
        else:
            report.statuses[decoded.capture_status] += 1
        where = f"line {number} {pair.get('method')} {pair.get('url')}"
        report.differences += [f"{where}: {each}" for each in problems]
    return report


def has_answer(pair: dict[str, Any]) -> bool:
    """False for upgrades: what follows is no HTTP."""
    status = pair.get("status")
    return isinstance(status, int) and status >= 200


def pairs(file: Path) -> Iterator[dict[str, Any]]:
    """The recordings of a file, one after the other."""
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def decode_pair(pair: dict[str, Any]) -> Decoded:
    """One recording as the recorder would decode it, bodies in the content coding that they had on the wire."""
    return decode_exchange(*pair_halves(pair))


def pair_halves(pair: dict[str, Any]) -> tuple[Request, Response]:
    """Both halves of a recording."""
    url = urlsplit(pair["url"])
    asked, told = read_pair(pair)
    return (
        Request(
            pair["method"],
            url.path.encode(),
            url.query.encode(),
            _field(pair, "request", "content-type"),
            _field(pair, "request", "content-encoding"),
            asked,
        ),
        Response(
            pair["status"],
            _field(pair, "response", "content-type"),
            _field(pair, "response", "content-encoding"),
            told,
        ),
    )


def _field(pair: dict[str, Any], half: str, name: str) -> str | None:
    return next((str(v) for k, v in pair.get(f"{half}_headers") or () if k.lower() == name), None)


def _compare(pair: dict[str, Any], decoded: Decoded, report: MeaningReport) -> list[str]:
    problems = [problem for message in decoded.messages if (problem := _shape_problem(message))]
    folded = pair.get("folded")
    if folded:
        merged = folded.get("merged")
        expected = expected_of(merged)
        if expected is None:
            report.uncompared[str(folded.get("kind"))] += 1
            return problems
        problems += _differences(decoded, expected, merged, folded.get("usage"))
        if folded.get("error_event") and not (decoded.error_message or decoded.error_type):
            problems.append("the error inside the stream is not told")
        report.streams += 1
        report.streams_agreeing += not problems
        return problems
    body = None if pair.get("is_sse") else _json(pair)
    expected = expected_of(body) if pair["status"] < 300 and decoded.capture_status == "decoded" else None
    if isinstance(body, dict) and expected is not None:
        told = usage_of(body) if decoded.usage.verbatim else None
        problems += _differences(decoded, expected, body, told)
        report.whole += 1
        report.whole_agreeing += not problems
    return problems


def _json(pair: dict[str, Any]) -> Any:
    try:
        return json.loads(pair.get("response_body") or "")
    except ValueError:
        return None


def _shape_problem(message: Message) -> str | None:
    shown = show_message(message)
    is_odd = set(shown) != SHOWN or not isinstance(shown["role"], str)
    return f"a message has another shape: {shown}" if is_odd else None


def _differences(decoded: Decoded, expected: list[Said], merged: dict[str, Any], usage: object) -> list[str]:
    found: list[Said] = [said(each) for each in decoded.messages if each.direction == "response"]
    problems = [] if found == expected else [f"said {found}, not {expected}"]
    reported = json.loads(decoded.usage.verbatim) if decoded.usage.verbatim else None
    if reported != (usage or None):
        problems.append(f"used {reported}, not {usage}")
    names = (decoded.upstream_id, decoded.model_served)
    wanted = (merged.get("id") or None, merged.get("model") or None)
    if "id" in merged and names != wanted:
        problems.append(f"called {names}, not {wanted}")
    return problems


def usage_of(body: dict[str, Any]) -> object:
    """Where a whole answer tells its usage."""
    return body.get("usage") or (body.get("x_groq") or {}).get("usage")


def said(message: Message) -> Said:
    """What a decoded message comes to."""
    calls = [(call.name, call.arguments) for call in message.tool_calls]
    return message.choice, message.text or "", message.refusal or None, message.finish_reason, calls


def expected_of(merged: object) -> list[Said] | None:
    """What an answer's object says, by its shape; None where the shape is not known here."""
    if not isinstance(merged, dict):
        return None
    if isinstance(merged.get("choices"), list):
        return [_choice(choice) for choice in merged["choices"]]
    if merged.get("object") in ("response", "response.compaction") or isinstance(merged.get("output"), list):
        return _response(merged)
    is_blocks = merged.get("type") == "message" and "stop_reason" in merged
    if is_blocks and isinstance(merged.get("content"), list):
        return [_blocks(merged)]
    return None


def _choice(choice: dict[str, Any]) -> Said:
    message = choice.get("message") or {}
    details = [call.get("function") or call.get("custom") or {} for call in message.get("tool_calls") or []]
    details += [message["function_call"]] if message.get("function_call") else []
    calls = [(each.get("name"), _text(each.get("arguments", each.get("input")))) for each in details]
    text = message.get("content") or choice.get("text") or ""
    if isinstance(text, list):
        text = "".join(part if isinstance(part, str) else part.get("text") or "" for part in text)
    return choice.get("index", 0), text, message.get("refusal") or None, choice.get("finish_reason"), calls


def _response(merged: dict[str, Any]) -> list[Said]:
    items = [item for item in merged.get("output") or [] if isinstance(item, dict)]
    parts = [part for item in items if item.get("type") == "message" for part in item.get("content") or []]
    text = "".join(part.get("text") or "" for part in parts if part.get("type") == "output_text")
    refusal = "".join(part.get("refusal") or "" for part in parts if part.get("type") == "refusal")
    calls = [
        (item.get("name"), _text(item.get("arguments", item.get("input"))))
        for item in items
        if item.get("type") in CALL_ITEMS
    ]
    return [(0, text, refusal or None, merged.get("status"), calls)] if items else []


def _blocks(merged: dict[str, Any]) -> Said:
    text = "".join(block.get("text") or "" for block in merged["content"] if block.get("type") == "text")
    calls = [(each.get("name"), _text(each.get("input"))) for each in merged["content"] if "input" in each]
    return 0, text, None, merged.get("stop_reason"), calls


def _text(arguments: object) -> str | None:
    if arguments is None or isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
