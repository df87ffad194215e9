"""Runs recordings through a real product and compares three views: client, upstream, record."""

from __future__ import annotations

import asyncio
import hashlib
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from app.proxy.secrets import has_secret_bodies
from tests.product import Product, running_product
from tests.replay.recording import Recording
from tests.replay.upstream import INDEX_FIELD, ReplayUpstream, expected_fields
from tests.replay.wire import Message, read_message

Progress = Callable[[int, int, str], None]
ID_FIELD = b"x-verbatim-exchange-id"


@dataclass(frozen=True, slots=True)
class Options:
    """How a run cuts answers and how many clients it uses."""

    splits: str = "random"
    seed: int = 1
    parallel: int = 8


@dataclass
class Report:
    """What came through."""

    total: int
    exact_on_wire: int = 0
    exact_in_record: int = 0
    seconds: float = 0.0
    differences: list[str] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """True where every recording was exact in every view."""
        return self.exact_on_wire == self.exact_in_record == self.total > 0


async def replay(recordings: list[Recording], options: Options, folder: Path, progress: Progress) -> Report:
    """Runs all recordings once, then reads the record."""
    began = time.monotonic()
    report = Report(len(recordings))
    upstream = ReplayUpstream({each.index: each for each in recordings}, options.splits, options.seed)
    base = f"http://127.0.0.1:{await upstream.start()}"
    try:
        async with running_product(folder / "data", upstream=base, upstreams=f"recorded={base}") as product:
            answers = await _run_clients(recordings, options, product, progress)
            for recording in recordings:
                problem = _compare_wire(
                    recording, upstream.requests.get(recording.index), answers.get(recording.index)
                )
                report.exact_on_wire += not problem
                report.differences += [f"{recording.index} {recording.target.decode()}: {problem}"] * bool(
                    problem
                )
            await _compare_record(recordings, answers, product, report, progress)
    finally:
        upstream.stop()
    report.seconds = time.monotonic() - began
    return report


async def _run_clients(
    recordings: list[Recording], options: Options, product: Product, progress: Progress
) -> dict[int, Message]:
    answers: dict[int, Message] = {}
    waiting = list(reversed(recordings))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", product.port, limit=1 << 20)
        while waiting:
            recording = waiting.pop()
            writer.write(request_bytes(recording))
            answer = await read_message(reader, has_body=recording.has_answer_body)
            if answer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", product.port, limit=1 << 20)
                continue
            answers[recording.index] = answer
            progress(len(answers), len(recordings), "sent")
        writer.close()

    await asyncio.gather(*[client() for _ in range(min(options.parallel, len(recordings)))])
    return answers


def request_bytes(recording: Recording) -> bytes:
    """The request as a client of the proxy sends it."""
    target = recording.target if recording.target.startswith(b"/v1/") else b"/recorded" + recording.target
    lines = [recording.method + b" " + target + b" HTTP/1.1", b"Host: proxy.test"]
    lines += [name + b": " + value for name, value in recording.request_fields]
    lines.append(INDEX_FIELD + b": %d" % recording.index)
    if recording.request_body is not None:
        lines.append(b"Content-Length: %d" % len(recording.request_body))
    return b"\r\n".join([*lines, b"", b""]) + (recording.request_body or b"")


def _compare_wire(recording: Recording, request: Message | None, answer: Message | None) -> str:
    """What differs on the wire, or nothing."""
    if request is None:
        return "the upstream never saw it"
    if answer is None:
        return "the client got no answer"
    got_request = [
        each for each in request.fields if each[0].lower() not in (b"host", b"content-length", INDEX_FIELD)
    ]
    got_answer = [
        each
        for each in answer.fields
        if each[0].lower() not in (b"content-length", b"transfer-encoding", ID_FIELD)
    ]
    checks = {
        "request line": request.start == recording.method + b" " + recording.target + b" HTTP/1.1",
        "request fields": got_request == expected_fields(recording.request_fields),
        "request body": request.body == (recording.request_body or b""),
        "status": answer.start.split(b" ")[1] == b"%d" % recording.status,
        "answer fields": got_answer == expected_fields(recording.response_fields),
        "answer body": answer.body == (recording.response_body if recording.has_answer_body else b""),
    }
    return ", ".join(name for name, is_same in checks.items() if not is_same)


async def _compare_record(
    recordings: list[Recording],
    answers: dict[int, Message],
    product: Product,
    report: Report,
    progress: Progress,
) -> None:
    rows = {row["id"]: row for row in await product.exchanges(len(answers))}
    for done, recording in enumerate(recordings, 1):
        answer = answers.get(recording.index)
        exchange_id = (answer.field(ID_FIELD) or b"").decode() if answer else ""
        problem = "not in the record" if exchange_id not in rows else ""
        if not problem:
            expected = {"request": recording.request_body or b"", "response": answer.body if answer else b""}
            for side, body in expected.items():
                got = await _recorded_body(product, exchange_id, side)
                if got is None and has_secret_bodies(recording.target):
                    continue
                if got != body:
                    problem += f"recorded {side} body differs ({_describe(got)} for {_describe(body)}) "
        report.exact_in_record += not problem
        report.differences += [f"{recording.index} {recording.target.decode()}: {problem}"] * bool(problem)
        progress(done, len(recordings), "read back")


async def _recorded_body(product: Product, exchange_id: str, side: str) -> bytes | None:
    """The body as the console gives it; None where it has none."""
    try:
        return await asyncio.to_thread(product.get, f"/api/exchanges/{exchange_id}/{side}")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise


def _describe(body: bytes | None) -> str:
    return (
        "nothing" if body is None else f"{len(body)} bytes, SHA-256 {hashlib.sha256(body).hexdigest()[:12]}"
    )
