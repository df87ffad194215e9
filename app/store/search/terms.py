"""What is searched for: words that must be said, and words that must not; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field

from app.frozen import value
from app.store.search.folding import clean, fold

MOST_WORDS = 24
MOST_CHARACTERS = 4_096

_WORD = re.compile(r"""(?P<not>-?)(?:"(?P<phrase>[^"]*)(?P<closed>"?)|(?P<word>[^\s"]+))|(?P<space>\s+)""")


class TermsError(ValueError):
    """A search that cannot be read; `position` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@value
class Terms:
    """Folded words: an exchange is found that says all of `wanted`, anywhere, and none of `unwanted`."""

    wanted: Sequence[str] = field(default_factory=list)
    unwanted: Sequence[str] = field(default_factory=list)


def parse_terms(text: str) -> Terms:
    """Reads `word word`, `"a phrase"`, `-word` and `-"a phrase"`; raises TermsError.

    A word is found wherever it stands, also inside of other words.
    """
    if len(text) > MOST_CHARACTERS:
        raise TermsError(f"a search takes at most {MOST_CHARACTERS} characters", MOST_CHARACTERS)
    wanted: list[str] = []
    unwanted: list[str] = []
    for found in _WORD.finditer(text):
        if found["space"] is not None:
            continue
        if found["phrase"] is not None and not found["closed"]:
            raise TermsError('a phrase begins here and does not end: expected "', found.start())
        word = found["word"] if found["phrase"] is None else found["phrase"]
        if not word:
            raise TermsError("expected a word or a phrase that is not empty", found.start())
        (unwanted if found["not"] else wanted).append(fold(clean(word)))
    if not wanted:
        raise TermsError("expected a word to look for: words with - only leave out", len(text))
    if len(wanted) + len(unwanted) > MOST_WORDS:
        raise TermsError(f"a search takes at most {MOST_WORDS} words", len(text))
    return Terms(list(dict.fromkeys(wanted)), list(dict.fromkeys(unwanted)))
