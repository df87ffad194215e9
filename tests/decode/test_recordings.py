"""Real traffic: every recorded stream folds to the message that an independent fold made of it.

The recordings are no part of this repository; they are looked for where VERBATIM_RECORDINGS says, or in
`../shared/recordings/openai.jsonl` beside the checkout.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.decode import Decoded, Message, Request, Response, decode_exchange
from tests.decode.reading import answers

RECORDINGS = Path(
    os.environ.get("VERBATIM_RECORDINGS")
    or Path(__file__).parents[2].parent / "shared" / "recordings" / "openai.jsonl"
)
KNOWN = {"chat/completions", "completions", "responses", "embeddings"}

pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_file(), reason="no recordings: set VERBATIM_RECORDINGS to a file of them"
)


def recordings() -> Iterator[dict[str, Any]]:
    with RECORDINGS.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def body_of(pair: dict[str, Any], half: str) -> bytes:
    text, coded = pair[f"{half}_body"], pair.get(f"{half}_body_b64")
    return text.encode() if text is not None else base64.b64decode(coded or "")


def decode(pair: dict[str, Any]) -> Decoded:
    url = urlsplit(pair["url"])
    types = {
        half: next((v for k, v in pair[f"{half}_headers"] if k.lower() == "content-type"), None)
        for half in ("request", "response")
    }
    return decode_exchange(
        Request(
            pair["method"],
            url.path.encode(),
            url.query.encode(),
            types["request"],
            None,
            body_of(pair, "request"),
        ),
        Response(pair["status"], types["response"], None, body_of(pair, "response")),
    )


def said(message: Message) -> tuple[object, ...]:
    calls = [(call.name, call.arguments) for call in message.tool_calls]
    return message.choice, message.text or "", message.refusal, message.finish_reason, calls


def expected(kind: str, merged: dict[str, Any]) -> list[tuple[object, ...]]:
    if kind == "responses":
        items = merged.get("output") or []
        parts = [part for item in items if item["type"] == "message" for part in item["content"]]
        text = "".join(part["text"] for part in parts if part["type"] == "output_text")
        refusal = "".join(part["refusal"] for part in parts if part["type"] == "refusal") or None
        calls = [(item["name"], item["arguments"]) for item in items if item["type"] == "function_call"]
        return [(0, text, refusal, merged["status"], calls)] if items else []
    return [_expected_choice(choice) for choice in merged["choices"]]


def _expected_choice(choice: dict[str, Any]) -> tuple[object, ...]:
    message = choice.get("message", {})
    calls = [
        (call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or []
    ]
    text = message.get("content") or choice.get("text") or ""
    if isinstance(text, list):
        text = "".join(part.get("text") or "" for part in text)
    return choice["index"], text, message.get("refusal"), choice["finish_reason"], calls


def test_every_recorded_stream_folds_to_its_message_and_usage() -> None:
    folded = 0
    for pair in recordings():
        if not pair.get("folded"):
            continue
        merged, usage = pair["folded"]["merged"], pair["folded"]["usage"]
        decoded = decode(pair)
        assert [said(message) for message in answers(decoded)] == expected(pair["folded"]["kind"], merged), (
            pair["url"]
        )
        assert (json.loads(decoded.usage.verbatim) if decoded.usage.verbatim else None) == (usage or None), (
            pair["url"]
        )
        assert (decoded.upstream_id, decoded.model_served) == (merged.get("id"), merged.get("model"))
        folded += 1
    assert folded


def test_every_recorded_exchange_of_a_known_endpoint_is_decoded() -> None:
    for pair in recordings():
        decoded = decode(pair)
        is_known = decoded.route in KNOWN and pair["method"] == "POST"
        has_body = bool(pair["response_body"] or pair.get("response_body_b64"))
        if is_known:
            wanted = "decoded" if has_body else "partial"
            assert decoded.capture_status == wanted, (pair["url"], pair["path"])
        assert not decoded.route.endswith("other"), pair["url"]
        assert decoded.stream == pair["is_sse"]
