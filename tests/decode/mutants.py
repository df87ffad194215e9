"""Damaged traffic without end: recorded and hand-written exchanges with bits flipped, pieces cut out and spliced in.

`Campaign` decodes them, checks what comes out, and watches the time: an input is slow where it takes more than a
hundred times what the median input of about its size takes, in processor time, and does so again and again.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import random
import statistics
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import zstandard

from app.decode import Decoded, Request, Response, decode_exchange
from app.decode.content import decode_content
from app.decode.shown import show_message
from tests.decode.reading import FIXTURES, PATHS
from tests.replay.meaning import has_answer, pair_halves, pairs

STATUSES = {"decoded", "partial", "unreadable", "too_large", "opaque"}
SPLICES = [
    b"\n", b"\r", b"\n\n", b"data:", b"data: [DONE]\n\n", b"{", b"}", b"[", b"]", b'"', b"null", b"-1", b"1e999",
    b"9" * 400, b"\\u0000", b"\\ud800", b"\x00", b"\xff", b"event: error\n", b'"index":0,', b'"choices":', b"[" * 2000,
    b"true", b"--boundary\r\n", b"\r\n\r\n",
]  # fmt: skip
CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
SLOW_TIMES = 100
LEAST_KNOWN = 200
"""Inputs of a size that must have been seen before one is called slow."""
LEAST_MEDIAN_NS = 20_000
"""Shorter medians are no measure: a collection of garbage is a hundred times as long."""


@dataclasses.dataclass(frozen=True, slots=True)
class Seed:
    """An exchange to be damaged."""

    request: Request
    response: Response
    saved_bytes: int = 0
    """By how much a content coding made its bodies shorter: what is decoded is what takes time."""

    @property
    def size_bytes(self) -> int:
        """Of both bodies, before they were coded."""
        return len(self.request.body or b"") + len(self.response.body or b"") + self.saved_bytes


def fixture_seeds() -> list[Seed]:
    """The hand-written streams, and small requests."""
    chat = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "model": "m",
        "user": "u",
    }
    item = {"type": "function_call", "call_id": "a", "name": "one", "arguments": "{}", "content": "Hi"}
    asked = {"chat": json.dumps(chat).encode(), "responses": json.dumps({"input": [item]}).encode()}
    seeds = []
    for file in sorted(FIXTURES.glob("*.sse")):
        kind = file.name.partition("_")[0].removesuffix(".sse")
        kind = kind if kind in PATHS else "chat"
        seeds.append(
            Seed(
                Request(
                    "POST", PATHS[kind], b"", "application/json", None, asked.get(kind, b'{"model":"m"}')
                ),
                Response(200, "text/event-stream", None, file.read_bytes()),
            )
        )
    return seeds


def recorded_seeds(file: Path, longest_bytes: int) -> list[Seed]:
    """The recordings whose bodies are not longer."""
    seeds = [recorded_seed(pair) for pair in pairs(file) if has_answer(pair)]
    return [seed for seed in seeds if 0 < seed.size_bytes <= longest_bytes]


def recorded_seed(pair: dict[str, Any]) -> Seed:
    """One recording in plain: a damaged gzip stream would be nothing but that."""
    request, response = pair_halves(pair)
    body, _ = decode_content(response.body or b"", response.content_encoding)
    return Seed(request, dataclasses.replace(response, body=body, content_encoding=None))


def damage(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """One to six of: a flipped bit, a cut, a piece doubled, a piece of another input, a piece of syntax."""
    body = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(body) + 1)
        end = min(len(body), at + chance.randint(0, 60))
        match chance.randrange(6):
            case 0 if body:
                body[at % len(body)] ^= 1 << chance.randrange(8)
            case 1:
                del body[at:end]
            case 2:
                body[at:at] = body[at:end]
            case 3:
                start = chance.randrange(len(other) + 1)
                body[at:at] = other[start : start + chance.randint(0, 400)]
            case 4:
                body[at:at] = chance.choice(SPLICES)
            case _:
                body = body[:at] if chance.random() < 0.2 else body
    return bytes(body)


def mutants(seeds: list[Seed], chance: random.Random) -> Iterator[Seed]:
    """Exchanges of which a half is damaged, or both, in plain or below a content coding."""
    while True:
        seed, other = chance.choice(seeds), chance.choice(seeds)
        request, response, saved = seed.request, seed.response, seed.saved_bytes
        if chance.random() < 0.4:
            body = damage(request.body or b"", other.request.body or b"", chance)
            request = dataclasses.replace(request, body=body)
        if request is seed.request or chance.random() < 0.7:
            response, more = _damaged_answer(response, other.response.body or b"", chance)
            saved += more
        if chance.random() < 0.02:
            request = dataclasses.replace(request, path=damage(request.path, other.request.path, chance))
        yield Seed(request, response, saved)


def _damaged_answer(response: Response, other: bytes, chance: random.Random) -> tuple[Response, int]:
    """The answer, and how many bytes its content coding saves."""
    body, coding, kind = damage(response.body or b"", other, chance), None, response.content_type
    saved = 0
    if chance.random() < 0.1:
        coding = chance.choice(sorted(CODERS))
        coded = CODERS[coding](body)
        saved = max(0, len(body) - len(coded))
        body = damage(coded, other, chance) if chance.random() < 0.7 else coded
    if chance.random() < 0.1:
        kind = chance.choice(["text/event-stream", "application/json", None, "text/html"])
    status = chance.choice([200, 400, None]) if chance.random() < 0.1 else response.status
    return Response(status, kind, coding, body, chance.random() < 0.8), saved


def check(decoded: Decoded) -> None:
    """What PostgreSQL would refuse, a list would not show, or a console could not send."""
    assert decoded.capture_status in STATUSES
    shown = [show_message(message) for message in decoded.messages]
    names = (
        decoded.model_asked,
        decoded.model_served,
        decoded.upstream_id,
        decoded.user,
        decoded.finish_reason,
    )
    said = (decoded.error_type, decoded.error_code, decoded.error_message, decoded.service_tier, *names)
    previews = (decoded.request_preview, decoded.response_preview)
    text = json.dumps([shown, said, previews], ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", "")
    text.encode()
    assert all(len(preview or "") <= 200 for preview in previews)
    for name in ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens"):
        count = getattr(decoded.usage, name)
        assert count is None or 0 <= count < 1 << 63
    assert "\\u0000" not in (decoded.usage.verbatim or "").replace("\\\\", "")


class Campaign:
    """Mutants in, and only what is wrong with them out."""

    def __init__(self, seeds: list[Seed], number: int) -> None:
        self.done = 0
        self.slow: list[str] = []
        self.slowest = 0.0
        """Times the median of its size that the slowest input took."""
        self._mutants = mutants(seeds, random.Random(number))
        self._times_ns: dict[int, deque[int]] = {}
        self._medians_ns: dict[int, float] = {}

    def run(self, count: int) -> None:
        """Decodes so many; raises what decoding or checking raises, with the input in its notes."""
        for mutant in (next(self._mutants) for _ in range(count)):
            began = time.process_time_ns()
            try:
                decoded = decode_exchange(mutant.request, mutant.response)
                took_ns = time.process_time_ns() - began
                check(decoded)
            except Exception as error:
                error.add_note(repr(mutant))
                raise
            self._watch(mutant, took_ns)
            self.done += 1

    def _watch(self, mutant: Seed, took_ns: int) -> None:
        size = mutant.size_bytes.bit_length()
        times = self._times_ns.setdefault(size, deque(maxlen=1_000))
        times.append(took_ns)
        if len(times) < LEAST_KNOWN:
            return
        if size not in self._medians_ns or self.done % 1_000 == 0:
            self._medians_ns[size] = max(statistics.median(times), LEAST_MEDIAN_NS)
        ratio = took_ns / self._medians_ns[size]
        if ratio >= SLOW_TIMES / 4:
            # Once may have been a collection of garbage.
            ratio = min(_time_ns(mutant) for _ in range(5)) / self._medians_ns[size]
        self.slowest = max(self.slowest, ratio)
        if ratio >= SLOW_TIMES:
            self.slow.append(f"{ratio:.0f} times the median of its size: {mutant!r}")


def _time_ns(mutant: Seed) -> int:
    began = time.process_time_ns()
    decode_exchange(mutant.request, mutant.response)
    return time.process_time_ns() - began
