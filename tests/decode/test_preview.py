"""Previews are short, on one line, and say what matters."""

from __future__ import annotations

from app.decode.jsonsafe import TextCleaner
from app.decode.preview import preview_request, preview_text
from app.decode.values import Message


def said(role: str, text: str | None) -> Message:
    return Message("request", None, role, text)


def test_white_space_is_collapsed_and_length_bounded() -> None:
    cleaner = TextCleaner()
    assert preview_text(" a\n\n\tb　c ", cleaner) == "a b c"
    assert preview_text("\n" * 5000 + "a", cleaner) == "a"
    assert preview_text("字" * 500, cleaner) == "字" * 199 + "…"
    assert preview_text("a\0b\ud800", cleaner) == "a�b�"
    assert [preview_text(text, cleaner) for text in (None, "", " \n ")] == [None] * 3


def test_what_the_user_said_last_goes_before_what_came_after() -> None:
    cleaner = TextCleaner()
    messages = [said("user", "one"), said("user", "two"), said("assistant", "three"), said("tool", "four")]
    assert preview_request(messages, cleaner) == "two"
    assert preview_request([said("system", "one"), said("tool", "two")], cleaner) == "two"
    assert preview_request([said("user", None)], cleaner) is None
