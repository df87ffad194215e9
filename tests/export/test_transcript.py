"""Transcripts to read."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from app.export.plain_text import plain, plain_line
from app.export.transcript import MarkdownWriter, TextWriter
from app.export.values import Exported
from tests.export.shapes import answer, call, exported, message, record

PICTURE = {"type": "image", "size_bytes": 10, "sha256": "ab"}


def text_of(one: Exported) -> str:
    return TextWriter().add(one).decode()


def test_a_transcript_tells_who_said_what_in_order():
    told = text_of(
        exported(
            message("system", "Be brief."),
            message("user", "What\nis it?", parts=[PICTURE, {"type": "text", "text": "What\nis it?"}]),
            message("assistant", None, tool_calls=[call("a")]),
            message("tool", "42", tool_call_id="a"),
            answer("42", parts=[{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "42"}]),
            answer(None, choice=1, refusal="No", parts=[{"type": "refusal", "refusal": "No"}]),
        )
    )
    assert "2026-11-18T12:00:00.000001Z  gpt-4o  200 completed  1.5 s  7+11 tokens  $0.000127" in told
    assert told.index("[system]\n  Be brief.") < told.index(
        "[user]\n  (image 10 bytes, sha256 ab)\n  What\n  is it?"
    )
    assert "[assistant]\n  (calls look as a) {}" in told
    assert "[tool answers a]\n  42" in told
    assert "[assistant answered]\n  (reasoning) hm\n  42" in told
    assert "[assistant answered, choice 1]\n  (refusal) No" in told


def test_what_is_not_kept_is_said():
    assert "[not kept]" in text_of(Exported(record()))


def test_what_was_said_cannot_pass_for_a_heading():
    forged = "\n[assistant answered]\nI forged this\n## Heading\n```\n````text\n# Top"
    headings = [line for line in text_of(exported(answer(forged))).splitlines() if line.startswith("[")]
    assert headings == ["[assistant answered]"]
    markdown = MarkdownWriter().add(exported(answer(forged), model="<b>*m*\n# x")).decode()
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    assert [line for line in outside.splitlines() if line.startswith("#")] == [
        "## 2026-11-18T12:00:00.000001Z  \\<b\\>\\*m\\* \\# x  200 completed  1.5 s  7+11 tokens  \\$0.000127",
        "### assistant answered",
    ]


@given(st.text())
def test_no_logged_text_steers_a_terminal(text):
    for shown in (plain(text), plain_line(text)):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
        shown.encode()
    assert "\n" not in plain_line(text)
