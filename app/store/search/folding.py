"""Text as it is searched: folded, so that case does not matter, and the way back to the letters as they were; pure.

`str.casefold` folds each character by itself, so that a part of a text is folded as it is in the whole, and whoever
finds one finds the other. Nothing is normalised: that would join characters across the borders of a substring.
"""

from __future__ import annotations

import re

MESSAGE_END = "\x1e"
"""Stands between messages that share a row."""
LONGEST_STEP = 255
_CAPITALS_ALIKE = bytes(ord("A") if chr(byte).isupper() else byte for byte in range(128)) + bytes(128)
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """Text that PostgreSQL takes."""
    if text.isascii() and "\0" not in text:
        return text
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def fold(text: str) -> str:
    """Text in which case does not matter."""
    return text.casefold()


def casing_of(text: str, folded: str) -> bytes | None:
    """Which letters of a text were capitals: steps from one to the next, 255 for 255 that go on.

    None where there are none, so many that the text is no words, or the folded text has another length.
    """
    if text == folded or len(text) != len(folded):
        return None
    steps = _steps_of_ascii(text) if text.isascii() else _steps(text, folded)
    if not steps or len(steps) * 3 > len(text):
        return None
    if max(steps) < LONGEST_STEP:
        return bytes(steps)
    return b"".join(b"\xff" * (step // LONGEST_STEP) + bytes([step % LONGEST_STEP]) for step in steps)


def _steps_of_ascii(text: str) -> list[int]:
    """From one capital to the next: how many letters are between."""
    return [len(between) for between in text.encode().translate(_CAPITALS_ALIKE).split(b"A")[:-1]]


def _steps(text: str, folded: str) -> list[int]:
    """The same of any text."""
    steps = []
    last = -1
    for place, (was, now) in enumerate(zip(text, folded, strict=True)):
        if was != now and now.upper() == was:
            steps.append(place - last - 1)
            last = place
    return steps


def unfold(folded: str, casing: bytes | None, begin: int = 0) -> str:
    """A piece of a folded text, `begin` characters in it, with the letters as they were."""
    if casing is None:
        return folded
    letters = list(folded)
    place = -1 - begin
    for step in casing:
        place += step
        if step == LONGEST_STEP:
            continue
        place += 1
        if place >= len(letters):
            break
        if place >= 0:
            letters[place] = letters[place].upper()
    return "".join(letters)
