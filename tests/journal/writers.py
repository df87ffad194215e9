"""Writers opened and waited for in tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.exchange import FrameType, Note
from app.journal.disk import Disk
from app.journal.frame import NO_EXCHANGE, Frame
from app.journal.writer import JournalRules, JournalWriter

RULES = JournalRules(fsync=0.05, max_bytes=1 << 27, min_free_bytes=0)
"""Too small a budget for a ballast."""


@contextmanager
def opened(
    folder: Path, disk: Disk | None = None, slot: int = 0, rules: JournalRules = RULES
) -> Iterator[JournalWriter]:
    """A writer that is ready, and closed behind."""
    writer = JournalWriter(folder, slot, "host", rules, disk)
    writer.open()
    try:
        yield writer
    finally:
        writer.close()


def until(holds: Callable[[], object], seconds: float = 10) -> None:
    """Waits for what another thread brings about."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def put(writer: JournalWriter, owner: bytes, *payloads: bytes) -> bool:
    """Writes the chunks of an exchange between its BEGIN and END in one call."""
    log = writer.exchange(owner)
    log.stage(FrameType.BEGIN, b"begin")
    for payload in payloads:
        log.stage(FrameType.RESPONSE_CHUNK, payload)
    log.stage(FrameType.END, b"end")
    return log.flush()


def skipped(frames: list[Frame]) -> list[tuple[str, int, int]]:
    """What the notes say was not recorded: reason, first and last accept number."""
    notes = [
        msgspec.msgpack.decode(each.payload, type=Note)
        for each in frames
        if each.kind == FrameType.NOTE and each.exchange_id == NO_EXCHANGE
    ]
    return [(each.detail, each.first_accept_number, each.last_accept_number) for each in notes]
