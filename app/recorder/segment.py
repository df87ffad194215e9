"""What the recorder knows of one segment: which exchanges hold it, and what became of those that began in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from app.errors import FrameError
from app.exchange import Note
from app.journal.frame import Frame
from app.store.writing.record import SegmentAccount

Chain = tuple[str, int]
"""Boot and slot: all segments of one writer."""

RECORDED = "recorded"
ERASED = "erased"
EXPIRED = "expired"
QUARANTINED = "quarantined"
CARRIED = "carried"


class FrameSource(Protocol):
    """A segment's frames by place."""

    def payload_at(self, offset: int) -> Frame:
        """The frame at an offset. Raises FrameError where none stands there."""

    def close(self) -> None:
        """Lets go of the file."""


class Segment:
    """A segment that was seen; `open` are the exchanges with frames here that are not settled."""

    __slots__ = (
        "accept_numbers",
        "chain",
        "counter",
        "counts",
        "damaged_bytes",
        "holds_erased",
        "is_carry",
        "is_ending",
        "is_finished",
        "is_gone",
        "name",
        "open",
        "read_bytes",
        "source",
        "sources",
        "torn_bytes",
        "wall_ns",
    )

    def __init__(
        self, name: str, chain: Chain, counter: int, source: FrameSource | None, *, is_carry: bool = False
    ) -> None:
        self.name = name
        self.chain = chain
        self.counter = counter
        self.source = source
        self.is_carry = is_carry
        self.open: set[bytes] = set()
        self.counts: dict[str, int] = {}
        self.accept_numbers: tuple[int, int] | None = None
        self.holds_erased = False
        """Frames here are of an exchange that an erasure stopped."""
        self.is_ending = False
        """Its reader knows that nothing more will come."""
        self.is_finished = False
        self.is_gone = False
        """Its file was unlinked."""
        self.sources: list[Segment] = []
        """Segments in which exchanges began that are counted here; they go first, or they would count them again."""
        self.read_bytes = 0
        """Bytes of the frames that were read here."""
        self.damaged_bytes = 0
        self.torn_bytes = 0
        self.wall_ns = 0
        """When it was begun."""

    def __repr__(self) -> str:
        state = "finished" if self.is_finished else "growing"
        return f"<Segment {self.name} {state} open={len(self.open)}>"

    @property
    def is_free(self) -> bool:
        """All of it was read, nothing in it is still wanted, and what was carried from goes first or with it."""
        if not self.is_finished or self.open:
            return False
        return all(each.is_gone or each.is_free for each in self.sources)

    def count(self, fate: str, exchanges: int = 1) -> None:
        """Counts exchanges that began here by what became of them."""
        self.counts[fate] = self.counts.get(fate, 0) + exchanges

    def counts_for(self, segment: Segment) -> None:
        """Exchanges that began in both are counted here, and there as carried."""
        if segment not in self.sources:
            self.sources.append(segment)

    def saw_accept_numbers(self, first: int, last: int) -> None:
        """Widens the range of accept numbers that this segment accounts for."""
        if self.is_carry or first < 0 or last < first:
            return
        if self.accept_numbers is not None:
            first = min(first, self.accept_numbers[0])
            last = max(last, self.accept_numbers[1])
        self.accept_numbers = (first, last)

    def saw_note(self, note: Note) -> None:
        """Takes what a NOTE says of exchanges that were not recorded."""
        first, last = note.first_accept_number, note.last_accept_number
        if note.kind != "skipped" or first < 0 or last < first:
            return
        self.saw_accept_numbers(first, last)
        self.count("off" if note.detail == "off" else "dropped", last - first + 1)

    def account(self) -> SegmentAccount:
        """The row that is written when it is let go."""
        first, last = self.accept_numbers or (None, None)
        return SegmentAccount(
            boot=self.chain[0],
            slot=self.chain[1],
            counter=self.counter,
            first_accept_number=first,
            last_accept_number=last,
            recorded=self.counts.get(RECORDED, 0),
            off=self.counts.get("off", 0),
            quarantined=self.counts.get(QUARANTINED, 0),
            expired=self.counts.get(EXPIRED, 0),
            erased=self.counts.get(ERASED, 0),
            dropped=self.counts.get("dropped", 0),
            carried=self.counts.get(CARRIED, 0),
            damaged_bytes=self.damaged_bytes,
            torn_bytes=self.torn_bytes,
        )


def begins_last(segments: list[Segment]) -> Segment:
    """Where an exchange counts that began in several: the newest carry segment, else the newest of its writer's."""
    return max(segments, key=lambda segment: (segment.is_carry, segment.counter))


def read_extents(extents: list[tuple[Segment, int, int]]) -> Iterator[Frame]:
    """Reads frames again from (segment, offset, length in bytes), in order. Raises FrameError."""
    for segment, offset, length in extents:
        if segment.source is None:
            raise AssertionError(f"{segment!r} was let go while it was wanted")
        end = offset + length
        while offset < end:
            try:
                frame = segment.source.payload_at(offset)
            except OSError as error:  # not the database's: it must not be taken for that
                raise FrameError(f"{segment.name} at {offset}: {error}") from error
            yield frame
            offset += frame.size_bytes
