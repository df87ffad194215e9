"""Bodies as the store takes them: held in memory while they are small, read again from the journal when not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from app.exchange import FrameType
from app.frozen import value
from app.recorder.segment import Segment, read_extents
from app.store.writing.record import SLICE_BYTES, BodySource


@value
class MemoryBody:
    """A body whose pieces are all here."""

    pieces: list[bytes]
    length_bytes: int
    sha256: bytes

    def slices(self) -> Iterator[bytes]:
        """The bytes in order, in slices of SLICE_BYTES."""
        return cut(self.pieces)


@value
class JournalBody:
    """A body that is read from its segments at each call; they are there until its exchange is settled."""

    extents: list[tuple[Segment, int, int]]
    kind: FrameType
    length_bytes: int
    sha256: bytes

    def slices(self) -> Iterator[bytes]:
        """The bytes in order, in slices of SLICE_BYTES. Raises FrameError where the journal fails."""
        return cut(frame.payload for frame in read_extents(self.extents) if frame.kind == self.kind)


def cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of any size as slices of SLICE_BYTES, the last one shorter; none where there are no bytes."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size < SLICE_BYTES:
            continue
        joined = b"".join(held)
        whole = size - size % SLICE_BYTES
        for start in range(0, whole, SLICE_BYTES):
            yield joined[start : start + SLICE_BYTES]
        held = [joined[whole:]]
        size -= whole
    if size:
        yield b"".join(held)


def whole_body(source: BodySource) -> bytes:
    """All bytes of a body in one piece."""
    return b"".join(source.slices())


class BodyParts:
    """One body while it grows: its pieces until `spill`, from then on only length and digest."""

    __slots__ = ("_hasher", "length_bytes", "pieces")

    def __init__(self) -> None:
        self.length_bytes = 0
        self.pieces: list[bytes] | None = []
        self._hasher: hashlib._Hash | None = None

    def __repr__(self) -> str:
        return f"<BodyParts bytes={self.length_bytes} {'spilled' if self.pieces is None else 'held'}>"

    def add(self, piece: bytes) -> None:
        """Takes the next bytes; their CRC held."""
        self.length_bytes += len(piece)
        if self.pieces is not None:
            self.pieces.append(piece)
        elif self._hasher is not None:
            self._hasher.update(piece)

    def spill(self) -> None:
        """Lets go of the pieces; the digest goes on."""
        if self.pieces is None:
            return
        self._hasher = hashlib.sha256()
        for piece in self.pieces:
            self._hasher.update(piece)
        self.pieces = None

    def source(self, extents: list[tuple[Segment, int, int]], kind: FrameType) -> BodySource:
        """The body as it is by now."""
        if self.pieces is None and self._hasher is not None:
            return JournalBody(extents, kind, self.length_bytes, self._hasher.digest())
        pieces = self.pieces or []
        return MemoryBody(pieces, self.length_bytes, hashlib.sha256(b"".join(pieces)).digest())
