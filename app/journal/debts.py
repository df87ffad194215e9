"""What is still to be written once the disk has room: frames that are owed, and which exchanges were not recorded."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from app.clock import monotonic_ns
from app.exchange import FrameType, Note
from app.journal.frame import NO_EXCHANGE

if TYPE_CHECKING:
    from app.journal.exchange_log import StagedFrame

FRAMES_MAX = 10_000
GAPS_MAX = 10_000


class Debts:
    """Bounded; the writer's lock guards it. Frames are paid in the order in which they were owed."""

    def __init__(self) -> None:
        self._frames: deque[StagedFrame] = deque()
        self._gaps: deque[tuple[str, int, int]] = deque()
        self.forgotten_frames = 0
        """Frames that did not fit in here: their exchanges stay without a beginning or an end."""

    def __len__(self) -> int:
        """Frames that paying all of it takes."""
        return len(self._frames) + len(self._gaps)

    def add_frame(self, frame: StagedFrame) -> None:
        """Owes a frame."""
        if len(self._frames) < FRAMES_MAX:
            self._frames.append(frame)
        else:
            self.forgotten_frames += 1

    def add_gap(self, reason: str, number: int) -> None:
        """Owes the note that the exchange with this accept number was not recorded."""
        if self._gaps:
            last_reason, first, last = self._gaps[-1]
            # With too many changes of reason the number is worth more than its reason.
            if last == number - 1 and (last_reason == reason or len(self._gaps) >= GAPS_MAX):
                self._gaps[-1] = (last_reason, first, number)
                return
        if len(self._gaps) < GAPS_MAX:
            self._gaps.append((reason, number, number))
        else:
            # The number is missing in the accounts, where a loss is looked for.
            self.forgotten_frames += 1

    def first(self) -> StagedFrame:
        """The next frame to pay; there must be one."""
        if self._gaps:
            return note_skipped(*self._gaps[0])
        return self._frames[0]

    def paid(self) -> None:
        """The first was written."""
        (self._gaps or self._frames).popleft()


def note_skipped(reason: str, first: int, last: int) -> StagedFrame:
    """The frame that says that exchanges, from the first accept number to the last, were not recorded."""
    payload = msgspec.msgpack.encode(Note("skipped", reason, first, last))
    return (NO_EXCHANGE, FrameType.NOTE, monotonic_ns(), 0, 0, payload, None)
