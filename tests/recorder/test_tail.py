from __future__ import annotations

import random
from pathlib import Path

from app.journal.reader import JournalDirectory
from app.recorder.assemble import Assembler
from app.recorder.bodies import whole_body
from app.recorder.files import JournalFiles
from app.recorder.record import make_record
from app.recorder.status import RecorderStatus
from app.recorder.tail import JournalTail
from app.recorder.transcript import Transcript
from tests.recorder.journals import Exchange, open_writer, write_exchange


def read_all(folder: Path) -> dict[bytes, Transcript]:
    """What a recorder makes of a journal whose writers are dead."""
    tail = JournalTail(JournalFiles(JournalDirectory(folder), "host"), Assembler(), RecorderStatus())
    tail.scan()
    for writer in tail._writers.values():
        writer.is_dead = True
    while tail.read():
        continue
    tail._close_dead()
    return {each.id: each for each in tail.ended}


def written(folder: Path) -> list[Exchange]:
    writer = open_writer(folder)
    exchanges = [write_exchange(writer, answer=b"answer %d." % n * 20, pieces=3) for n in range(12)]
    writer.close()
    return exchanges


def test_any_flipped_bit_changes_at_most_one_exchange_and_invents_none(folder: Path) -> None:
    exchanges = written(folder)
    (path,) = folder.glob("*.seg")
    content = path.read_bytes()
    header = content.index(b"\xf5LJ1", 4)
    chance = random.Random(23)
    for _ in range(150):
        place = chance.randrange(header, len(content))
        path.write_bytes(
            content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
        )
        found = read_all(folder)
        assert found.keys() <= {each.id for each in exchanges}
        whole = 0
        for each in exchanges:
            transcript = found.get(each.id)
            if transcript is None:
                continue
            make_record(transcript)
            if transcript.has_gap or transcript.begin is None or transcript.end is None:
                continue
            whole += whole_body(transcript.response_body()) == each.answer
        assert whole >= len(exchanges) - 1


def test_a_journal_cut_anywhere_gives_a_prefix_of_every_exchange(folder: Path) -> None:
    exchanges = written(folder)
    (path,) = folder.glob("*.seg")
    content = path.read_bytes()
    header = content.index(b"\xf5LJ1", 4)
    for size in range(header, len(content), 37):
        path.write_bytes(content[:size])
        found = read_all(folder)
        for each in exchanges:
            if each.id in found:
                body = whole_body(found[each.id].response_body())
                assert each.answer.startswith(body)
                assert make_record(found[each.id]).outcome in ("completed", "proxy_crashed")
        assert found.keys() == {each.id for each in exchanges[: len(found)]}
