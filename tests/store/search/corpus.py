"""Messages in many scripts, made at random from a seed, and exchanges that say them."""

from __future__ import annotations

import dataclasses
import random
import uuid

from app.clock import new_id
from app.store.writing.record import Record
from tests.store.samples import NOON_NS, talk

SECOND_NS = 1_000_000_000
ENGLISH = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were her all she there would their we him been has when who will more no if out so said what up its about "
    "than into them can only other new some could time these two may then do first any my now such like our over man "
    "me even most made after also did many before must through back years where much your way well down because each"
).split()
CODE = (
    "def class return import self None True False for in range(len(items)): await async with open(path) as file: "
    "print(f'{name}={value!r}') lambda x: x**2 raise ValueError('no') if __name__ == '__main__': np.zeros((3, 4)) {} "
    'SELECT * FROM t WHERE id = $1; git commit -m "fix" <div class="a"> &amp; /usr/local/bin 0x1F 3.14e-10 camelCase'
).split()
RANGES = {
    "chinese": (0x4E00, 0x5200),
    "japanese": (0x3041, 0x30F0),
    "korean": (0xAC00, 0xB000),
    "arabic": (0x0621, 0x064A),
    "hebrew": (0x05D0, 0x05EA),
    "russian": (0x0410, 0x044F),
    "greek": (0x0391, 0x03C9),
    "hindi": (0x0905, 0x0939),
    "thai": (0x0E01, 0x0E2E),
    "emoji": (0x1F300, 0x1F5FF),
    "latin": (0x00C0, 0x017F),
}


def text(chance: random.Random) -> str:
    """A message of one script, or of two."""
    parts = [_part(chance) for _ in range(1 if chance.random() < 0.7 else 2)]
    return "\n".join(parts)


def _part(chance: random.Random) -> str:
    size = min(2_000, int(chance.lognormvariate(3.3, 1.0)) + 1)
    kind = chance.choice(["english", "english", "code", "chinese", *RANGES])
    if kind in ("english", "code"):
        words = [chance.choice(ENGLISH if kind == "english" else CODE) for _ in range(size)]
        words = [each.capitalize() if chance.random() < 0.1 else each for each in words]
        return " ".join(words)
    low, high = RANGES[kind]
    letters = [chr(chance.randint(low, min(high, low + chance.choice([40, 400])))) for _ in range(size * 2)]
    if kind not in ("chinese", "japanese", "thai"):
        letters = [" " if chance.random() < 0.15 else each for each in letters]
    return "".join(letters)


def saying(*said: str, at_ns: int = NOON_NS, **changes: object) -> Record:
    """An exchange in which these messages are said."""
    made = talk(b"asked", b"told", exchange_id=new_id(at_ns), **changes)
    assert made.content is not None
    return dataclasses.replace(made, content=dataclasses.replace(made.content, said=said))


def exchanges(chance: random.Random, count: int, at_ns: int = NOON_NS) -> list[Record]:
    """Exchanges of one to three messages, three seconds apart."""
    return [
        saying(*(text(chance) for _ in range(chance.choice([1, 2, 2, 3]))), at_ns=at_ns + n * 3 * SECOND_NS)
        for n in range(count)
    ]


def substring(chance: random.Random, records: list[Record]) -> tuple[uuid.UUID, str]:
    """Two to twenty characters in a row of one message, and the exchange that says it."""
    while True:
        made = chance.choice(records)
        assert made.content is not None
        said = chance.choice(made.content.said)
        size = chance.randint(2, 20)
        begin = chance.randrange(max(1, len(said) - size + 1))
        piece = said[begin : begin + size]
        if len(piece) >= 2:
            return uuid.UUID(bytes=made.id), piece
