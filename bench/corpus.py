"""A record to ask: exchanges of 50 models, 10,000 users and conversations of 1 to 100 turns, in several languages."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from app.clock import id_milliseconds, new_id, utc_from_ns
from app.store.slices.pieces import HeldBody
from app.store.writing.record import Content, Record, Usage

MODELS, USERS, DAYS = 50, 10_000, 30
OPEN_CONVERSATIONS = 200
TEAMS = ("red", "green", "blue")
COMMON, RARE, UNIQUE, ABSENT = "plantten", "plantrare", "uniqueneedle", "zzqqxx"
"""Said in a tenth of all exchanges, in 50, in one, in none."""
RARE_CHINESE, ABSENT_CHINESE = "龙猫", "乒乓"
RARE_COUNT = 50
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvw", "aeiou"
_RANGES = {"arabic": (0x0627, 0x064A), "russian": (0x0430, 0x044F), "korean": (0xAC00, 0xAFFF)}


class Language:
    """Draws messages whose lengths, words and languages are spread as in real ones."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._words = self._vocabulary(60_000)
        weights = [1 / (rank + 3) for rank in range(len(self._words))]
        self._sums = list(itertools.accumulate(weights))
        letters = [chr(point) for point in range(0x4E00, 0x9FA5) if chr(point) not in "龙猫乒乓"]
        self._chinese = chance.sample(letters, 4_000)
        self._chinese_sums = list(itertools.accumulate(1 / (rank + 20) for rank in range(4_000)))
        folder = Path(__file__).resolve().parent.parent / "app"
        self._code = [path.read_text() for path in sorted(folder.rglob("*.py"))]

    def message(self) -> str:
        """One message: median 300 characters, at most 20,000."""
        size = int(min(20_000, max(20, self._chance.lognormvariate(5.7, 1.3))))
        kind = self._chance.random()
        if kind < 0.6:
            return self._english(size)
        if kind < 0.8:
            text = self._chance.choice(self._code)
            begin = self._chance.randrange(max(1, len(text) - size))
            return f"{text[begin : begin + size]} {self._chance.getrandbits(64):x}"
        if kind < 0.95:
            return "".join(self._draw(self._chinese, self._chinese_sums) for _ in range(size // 2))
        low, high = _RANGES[self._chance.choice(sorted(_RANGES))]
        return "".join(
            " " if self._chance.random() < 0.17 else chr(self._chance.randint(low, high)) for _ in range(size)
        )

    def _english(self, size: int) -> str:
        words, length = [], 0
        while length < size:
            word = self._draw(self._words, self._sums)
            word = word.capitalize() if self._chance.random() < 0.08 else word
            words.append(word)
            length += len(word) + 1
        return " ".join(words)

    def _draw(self, values: list[str], sums: list[float]) -> str:
        return values[bisect.bisect(sums, self._chance.random() * sums[-1]) % len(values)]

    def _vocabulary(self, size: int) -> list[str]:
        words: set[str] = set()
        while len(words) < size:
            syllables = self._chance.choices((1, 2, 3, 4), (2, 5, 4, 1))[0]
            word = "".join(
                self._chance.choice(_CONSONANTS) + self._chance.choice(_VOWELS) for _ in range(syllables)
            )
            words.add(word + self._chance.choice(("", "", "n", "s", "r", "t")))
        return sorted(words, key=lambda _: self._chance.random())


def exchanges(rows: int, seed: int, end_ns: int) -> Iterator[tuple[Record, list[str]]]:
    """Exchanges with what each says, in the order of time."""
    chance = random.Random(seed)
    language = Language(chance)
    conversations = [0] * OPEN_CONVERSATIONS
    names = [0] * OPEN_CONVERSATIONS
    rare = set(chance.sample(range(rows), min(rows, RARE_COUNT)))
    step_ns = DAYS * 86_400_000_000_000 // rows
    for number in range(rows):
        slot = chance.randrange(OPEN_CONVERSATIONS)
        if conversations[slot] == 0:
            conversations[slot] = min(100, int(chance.paretovariate(1.1)))
            names[slot] += 1
        conversations[slot] -= 1
        said = [language.message(), language.message()]
        if chance.random() < 0.1:
            said[0] += f" {COMMON}"
        if number in rare:
            said[1] += f" {RARE} {RARE_CHINESE}"
        if number == rows // 3:
            said[1] += f" {UNIQUE}"
        at_ns = end_ns - (rows - number) * step_ns
        yield _record(chance, said, at_ns, f"c{slot}-{names[slot]}", number), said


def _record(chance: random.Random, said: list[str], at_ns: int, conversation: str, number: int) -> Record:
    request = json.dumps({"messages": [{"role": "user", "content": said[0]}]}).encode()
    response = json.dumps({"choices": [{"message": {"role": "assistant", "content": said[1]}}]}).encode()
    exchange_id = new_id(at_ns)
    tokens = (len(said[0]) // 4, len(said[1]) // 4)
    model = f"model-{min(MODELS - 1, int(chance.paretovariate(0.6)) - 1)}"
    reason = "length" if chance.random() < 0.02 else "stop"
    return Record(
        id=exchange_id,
        project="default",
        boot="0badcafe",
        slot=0,
        accept_number=number,
        started_at=utc_from_ns(id_milliseconds(exchange_id) * 1_000_000),
        duration_us=int(chance.lognormvariate(14, 1)),
        ttft_us=int(chance.lognormvariate(12.5, 0.8)),
        method="POST",
        path="/v1/chat/completions",
        query="",
        route="chat/completions",
        upstream="v1",
        authority="https://api.openai.com",
        http_version="1.1",
        outcome="completed" if chance.random() < 0.99 else "client_left",
        capture_status="decoded",
        log_mode="full",
        stream=True,
        request_bytes=len(request),
        response_bytes=len(response),
        request_complete=True,
        status=200 if chance.random() < 0.97 else 429,
        request_sha256=hashlib.sha256(request).digest(),
        response_sha256=hashlib.sha256(response).digest(),
        request_content_type="application/json",
        response_content_type="application/json",
        model=model,
        finish_reason=reason,
        user=f"user-{int(chance.random() ** 2 * USERS)}",
        key=f"{chance.randrange(40):016x}",
        conversation=conversation,
        usage=Usage(
            None,
            "reported",
            tokens[0],
            0,
            None,
            tokens[1],
            None,
            sum(tokens),
            cost=Decimal(sum(tokens)) / 100_000,
        ),
        tags={"team": chance.choice(TEAMS)},
        content=Content(
            request_headers=[(b"content-type", b"application/json")],
            response_headers=[(b"content-type", b"application/json")],
            trailers=[],
            request_body=HeldBody(request),
            response_body=HeldBody(response),
            chunk_times=[],
            request_preview=said[0][:200],
            response_preview=said[1][:200],
            facts=json.dumps(
                {
                    "request": {"model": model, "temperature": chance.randrange(11) / 10, "stream": True},
                    "response": {"choices": [{"index": 0, "finish_reason": reason}], "model": model},
                }
            ),
            said=said,
        ),
    )
