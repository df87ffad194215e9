"""The conservation law: of the numbers that a writer gave to the exchanges it accepted, none is missing.

accepted = recorded + off + quarantined + expired + erased + dropped + carried + pending, for each writer. All but what
is pending stands in the accounts of segments that were let go; what is pending is in segments that are still there.
What was carried is counted once more where it was carried to, and there it must not be less. What came back from
quarantine/ stays quarantined in its writer's accounts and has accounts of its own besides. A writer whose last numbers
are lost leaves no hole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from app.errors import FrameError
from app.exchange import CARRY_SLOT, RETRY_BOOT, Begin, FrameType, Note
from app.journal.reader import JournalDirectory, SegmentReader
from app.journal.segment import SegmentName
from app.recorder.segment import Chain
from app.store.writing.record import SegmentAccount

FATES = ("recorded", "off", "quarantined", "expired", "erased", "dropped", "carried")

Range = tuple[int, int]
"""First and last number, both of them in it."""

RETRIED: Chain = (RETRY_BOOT, CARRY_SLOT)
"""What came back from quarantine/: its numbers are in its writers' accounts."""

_begins = msgspec.msgpack.Decoder(Begin)
_notes = msgspec.msgpack.Decoder(Note)


@dataclass(frozen=True, slots=True)
class Held:
    """What a segment that is still there says of accepted exchanges."""

    name: SegmentName
    numbers: tuple[Range, ...]
    begun: int
    """Exchanges with a beginning here."""
    is_live: bool


@dataclass(slots=True)
class Balance:
    """One writer's accounts."""

    chain: Chain
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FATES, 0))
    pending: int = 0
    accepted: int = 0
    """The highest number and one; of a recorder, what writers' accounts say was carried."""
    missing: list[Range] = field(default_factory=list)
    """Numbers that stand nowhere."""
    damaged_bytes: int = 0
    is_live: bool = False

    @property
    def accounted(self) -> int:
        """How many exchanges stand somewhere."""
        return sum(self.counts.values()) + self.pending

    @property
    def lost(self) -> int:
        """How many stand nowhere; below 0 where some stand twice."""
        difference = self.accepted - self.accounted
        # Until the original is let go, what was carried is in both.
        return max(0, difference) if self.chain[1] == CARRY_SLOT else difference

    @property
    def is_retried(self) -> bool:
        """It is of what came back from quarantine/."""
        return self.chain == RETRIED

    @property
    def is_kept(self) -> bool:
        """Whether the law holds."""
        return not self.lost and not self.missing


def read_held(directory: JournalDirectory) -> list[Held]:
    """All segments that are there. Raises OSError."""
    found = (_read(directory, name) for name in directory.segments())
    return [each for each in found if each is not None]


def balances(accounts: Iterable[SegmentAccount], held: Iterable[Held]) -> list[Balance]:
    """Each writer's balance; what is accounted and still there counts as accounted."""
    accounts, held = list(accounts), list(held)
    written = {(each.boot, each.slot, each.counter) for each in accounts}
    found: dict[Chain, Balance] = {}
    numbers: dict[Chain, list[Range]] = {}
    for account in accounts:
        chain = (account.boot, account.slot)
        balance = found.setdefault(chain, Balance(chain))
        for fate in FATES:
            balance.counts[fate] += getattr(account, fate)
        balance.damaged_bytes += account.damaged_bytes
        if account.first_accept_number is not None and account.last_accept_number is not None:
            numbers.setdefault(chain, []).append((account.first_accept_number, account.last_accept_number))
    for each in held:
        chain = (each.name.boot, each.name.slot)
        balance = found.setdefault(chain, Balance(chain))
        balance.is_live |= each.is_live
        if (*chain, each.name.counter) not in written:
            balance.pending += each.begun if chain[1] == CARRY_SLOT else _size(each.numbers)
            numbers.setdefault(chain, []).extend(each.numbers)
    _compare(found, numbers)
    return [found[chain] for chain in sorted(found)]


def _compare(found: dict[Chain, Balance], numbers: dict[Chain, list[Range]]) -> None:
    carried = sum(each.counts["carried"] for each in found.values())
    recorders = [each for each in found.values() if each.chain[1] == CARRY_SLOT and not each.is_retried]
    for balance in found.values():
        if balance.is_retried:
            balance.accepted = balance.accounted
        elif balance.chain[1] != CARRY_SLOT:
            covered = numbers.get(balance.chain, [])
            balance.accepted = max((last for _, last in covered), default=-1) + 1
            balance.missing = _holes(covered)
    if carried and not recorders:
        # Nothing is left of what was carried: it stands nowhere.
        found["", CARRY_SLOT] = Balance(("", CARRY_SLOT), accepted=carried)
    elif recorders:
        recorders[-1].accepted = carried


def _holes(covered: list[Range]) -> list[Range]:
    holes: list[Range] = []
    following = 0
    for first, last in sorted(covered):
        if first > following:
            holes.append((following, first - 1))
        following = max(following, last + 1)
    return holes


def _size(numbers: Iterable[Range]) -> int:
    return sum(last - first + 1 for first, last in numbers)


def _read(directory: JournalDirectory, name: str) -> Held | None:
    parsed = SegmentName.parse(name)
    try:
        is_live = not directory.is_orphan(name)
        reader = SegmentReader(directory, name)
    except (FileNotFoundError, FrameError):
        # Let go of meanwhile, or no segment: then its numbers are missing.
        return None
    if parsed is None:
        raise AssertionError(f"{name} is not listed as a segment")
    begun: dict[bytes, int] = {}
    skipped: list[Range] = []
    if not is_live:
        reader.finish()
    try:
        while frames := reader.read():
            for frame in frames:
                if frame.kind == FrameType.BEGIN:
                    begun.setdefault(frame.exchange_id, _accept_number(frame.payload))
                elif frame.kind == FrameType.NOTE:
                    skipped += _skipped(frame.payload)
    finally:
        reader.close()
    single = {number for number in begun.values() if number >= 0}
    numbers = () if parsed.slot == CARRY_SLOT else (*((each, each) for each in sorted(single)), *skipped)
    return Held(parsed, numbers, len(begun), is_live)


def _accept_number(payload: bytes) -> int:
    try:
        return _begins.decode(payload).accept_number
    except msgspec.MsgspecError:
        return -1


def _skipped(payload: bytes) -> list[Range]:
    try:
        note = _notes.decode(payload)
    except msgspec.MsgspecError:
        return []
    first, last = note.first_accept_number, note.last_accept_number
    return [(first, last)] if note.kind == "skipped" and 0 <= first <= last else []
