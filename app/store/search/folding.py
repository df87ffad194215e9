"""Text as it is searched: folded, so that case does not matter, and the way back to the letters as they were; pure.

`str.casefold` folds each character by itself, so that a part of a text is folded as it is in the whole, and whoever
finds one finds the other. Nothing is normalised: that would join characters across the borders of a substring.
"""

from __future__ import annotations

import re

MESSAGE_END = "\x1e"
"""Stands between messages that share a row."""
LONGEST_STEP = 255
_CAPITALS = re.compile("[A-Z]")
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """Text that PostgreSQL takes."""
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
    if text.isascii():
        capitals = [found.start() for found in _CAPITALS.finditer(text)]
    else:
        pairs = enumerate(zip(text, folded, strict=True))
        capitals = [place for place, (was, now) in pairs if was != now and now.upper() == was]
    if not capitals or len(capitals) * 3 > len(text):
        return None
    steps = bytearray()
    last = -1
    for place in capitals:
        step, last = place - last - 1, place
        if step >= LONGEST_STEP:
            whole, step = divmod(step, LONGEST_STEP)
            steps += b"\xff" * whole
        steps.append(step)
    return bytes(steps)


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
