from __future__ import annotations

from app.exchange import FrameType
from app.journal.debts import Debts
from app.journal.exchange_log import StagedFrame
from app.journal.frame import NO_EXCHANGE, Frame
from tests.journal.segments import exchange_id
from tests.journal.writers import skipped


def end(number: int) -> StagedFrame:
    return (exchange_id(number), FrameType.END, 1, 5, 0, b"end", None)


def paid_notes(debts: Debts) -> list[tuple[str, int, int]]:
    """Pays all gaps; gives what their notes say."""
    notes: list[Frame] = []
    while debts and debts.first()[0] == NO_EXCHANGE:
        _, kind, at_ns, sequence, flags, payload, _ = debts.first()
        notes.append(Frame(0, kind, flags, NO_EXCHANGE, at_ns, sequence, payload))
        debts.paid()
    return skipped(notes)


def test_numbers_that_follow_each_other_for_one_reason_are_one_note() -> None:
    debts = Debts()
    for number in (3, 4, 5):
        debts.add_gap("journal_full", number)
    assert len(debts) == 1
    assert paid_notes(debts) == [("journal_full", 3, 5)]


def test_a_note_never_covers_a_number_between_that_was_recorded() -> None:
    debts = Debts()
    for number in (3, 5, 6, 9):
        debts.add_gap("journal_full", number)
    assert paid_notes(debts) == [("journal_full", 3, 3), ("journal_full", 5, 6), ("journal_full", 9, 9)]


def test_each_reason_has_its_own_note() -> None:
    debts = Debts()
    for number, reason in enumerate(["off", "off", "journal_full", "off"]):
        debts.add_gap(reason, number)
    assert paid_notes(debts) == [("off", 0, 1), ("journal_full", 2, 2), ("off", 3, 3)]


def test_frames_are_paid_in_the_order_in_which_they_were_owed() -> None:
    debts = Debts()
    for number in (2, 1, 3):
        debts.add_frame(end(number))
    debts.add_gap("off", 0)
    assert len(debts) == 4
    assert paid_notes(debts) == [("off", 0, 0)]
    paid = []
    while debts:
        paid.append(debts.first())
        debts.paid()
    assert paid == [end(number) for number in (2, 1, 3)]
