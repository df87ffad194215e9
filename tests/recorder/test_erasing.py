"""What is erased leaves the journal and the quarantine, does not come back from old segments, and is reported then."""

from __future__ import annotations

import asyncio
import datetime
import json
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.clock import new_id, utc_now, wall_ns
from app.journal.writer import JournalWriter
from app.recorder import carry, erasing
from app.recorder.process import RecorderOptions
from app.store.database.pool import Pool
from app.store.erasing import removing
from app.store.erasing.requests import Erasure, Erasures, Target
from tests.erased import places_of
from tests.recorder.conftest import recording, until
from tests.recorder.frames import ANSWER
from tests.recorder.journals import Exchange, Rows, open_writer, write_exchange

CANARY = b"canary-4711"


def asked(words: bytes = CANARY, **fields: object) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": words.decode() + " words" * 60}], **fields}
    return json.dumps(body).encode()


def disk_holds(folder: Path, words: bytes = CANARY) -> list[str]:
    """Files below a journal's folder in which these bytes stand."""
    found = []
    for file in folder.rglob("*"):
        try:
            if file.is_file() and words in file.read_bytes():
                found.append(file.name)
        except FileNotFoundError:
            continue
    return found


@pytest.fixture
async def erasures(rows: Rows) -> AsyncIterator[Erasures]:
    pool = Pool(rows.url)
    yield Erasures(pool)
    await pool.close()


async def done(erasures: Erasures, erasure_id: uuid.UUID) -> Erasure:
    """The erasure once it is done."""
    found: list[Erasure] = []

    async def is_done() -> bool:
        found.append(await erasures.get(erasure_id))  # type: ignore[arg-type]
        return found[-1].state == "done" and bool(found[-1].recorders)

    await until(is_done, 18.0)
    return found[-1]


async def test_a_user_who_is_known_by_the_body_alone_is_gone_from_disk_and_tables(
    folder: Path, rows: Rows, erasures: Erasures, tmp_path: Path
) -> None:
    writer = open_writer(folder, segment_bytes=4_000)
    old = tmp_path / "old"
    async with recording(RecorderOptions(folder, rows.url, "host")):
        mine = [write_exchange(writer, asked(safety_identifier="ann"), ANSWER) for _ in range(3)]
        other = [write_exchange(writer, asked(b"harmless"), ANSWER, user="ben")]
        shutil.copytree(folder, old, ignore=shutil.ignore_patterns("*.new"))
        await until(lambda: _has(rows, 4))
        stream = Exchange(writer, user="ann")
        stream.ask(asked(b"canary-4711 of an open stream"))
        stream.head()
        asking = await erasures.request(Target(1, "user", "ann"))
        await asyncio.sleep(3)
        assert (await erasures.get(asking.id)).state == "waiting"  # type: ignore[union-attr]
        stream.tell(CANARY)
        stream.end()
        writer.close()
        receipt = await done(erasures, asking.id)
        assert disk_holds(folder) == []
        assert receipt.counts["exchanges"] == len(mine)
        assert [(each.stopped, each.quarantined, each.unreadable) for each in receipt.recorders] == [
            (1, 0, 0)
        ]
        assert await places_of(rows.url, CANARY.decode()) == []
        await rows.check_recorded(other)
        for segment in old.glob("*.seg"):
            shutil.copy(segment, folder / segment.name)
        await until(lambda: _is(not list(folder.glob("*.seg"))))
    assert await places_of(rows.url, CANARY.decode()) == []
    await rows.check_recorded(other)


async def test_what_was_carried_is_waited_for(
    folder: Path, rows: Rows, erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "LOOK_NS", 50_000_000)
    writer = open_writer(folder, segment_bytes=3_000)
    options = RecorderOptions(folder, rows.url, "host", journal_max_bytes=0)
    async with recording(options) as status:
        stream = Exchange(writer, user="ann")
        stream.ask(asked())
        stream.head()
        write_exchange(writer)
        await until(lambda: _has(rows, 1))
        asking = await erasures.request(Target(1, "user", "ann"))
        for _ in range(60):
            stream.tell(CANARY + b" words" * 20)
            await asyncio.sleep(0.02)
        await until(lambda: _is(status.carried > 0))
        await asyncio.sleep(2.5)
        assert (await erasures.get(asking.id)).state == "waiting"  # type: ignore[union-attr]
        assert disk_holds(folder)
        stream.end()
        writer.close()
        receipt = await done(erasures, asking.id)
        assert disk_holds(folder) == []
    assert receipt.recorders[0].stopped == 1
    assert await rows.count() == 1
    await rows.check_accounts(2)


async def test_the_quarantine_gives_up_what_is_erased_and_keeps_the_rest(
    folder: Path, rows: Rows, erasures: Erasures
) -> None:
    writer = open_writer(folder)
    async with recording(RecorderOptions(folder, rows.url, "host")):
        write_exchange(writer)
        await until(lambda: _has(rows, 1))
        early = poisoned(writer, "ann")
        poisoned(writer, "ben", b"harmless")
        await until(lambda: _is(len(list(folder.glob("quarantine/*.frames"))) == 2))
        (folder / "quarantine" / "s-00000000-0-00000000000000000001.seg").write_bytes(b"damaged")
        asking = await erasures.request(Target(1, "user", "ann", utc_now() + datetime.timedelta(days=1)))
        late = poisoned(writer, "ann")
        writer.close()
        receipt = await done(erasures, asking.id)
        assert disk_holds(folder) == []
        assert len(disk_holds(folder, b"harmless")) == 1
    assert early.id != late.id
    told = receipt.recorders[0]
    assert (told.quarantined, told.unreadable) == (1, 1)


def poisoned(writer: JournalWriter, user: str, words: bytes = CANARY) -> Exchange:
    """An exchange that PostgreSQL does not take: it has no place for its id, which is of the year 10,000."""
    exchange_id = (253_402_300_800_000).to_bytes(6) + new_id(wall_ns())[6:]
    return write_exchange(writer, asked(words), user=user, exchange_id=exchange_id)


async def test_an_erasure_by_id_is_done_although_its_segment_was_half_let_go(
    folder: Path, rows: Rows, erasures: Erasures, tmp_path: Path
) -> None:
    writer = open_writer(folder, segment_bytes=3_000)
    first = Exchange(writer, user="ann")
    first.ask(asked())
    first.head()
    for _ in range(40):
        first.tell(b"x" * 200)
        await asyncio.sleep(0.005)
    first.end()
    live = Exchange(writer)  # its writer lives on
    begun = sorted(folder.glob("*.seg"))[0]
    shutil.copy(begun, tmp_path / begun.name)
    async with recording(RecorderOptions(folder, rows.url, "host")):
        await until(lambda: _has(rows, 1))
        await until(lambda: _is_gone(begun))
    shutil.copy(tmp_path / begun.name, begun)
    asking = await erasures.of_exchange(uuid.UUID(bytes=first.id))
    assert asking is not None
    async with recording(RecorderOptions(folder, rows.url, "host")):
        await done_with_tables(erasures, asking.id)
        await until(lambda: _is_gone(begun))
        live.end()
        writer.close()
        await done(erasures, asking.id)
    assert await places_of(rows.url, CANARY.decode()) == []
    assert disk_holds(folder) == []


async def test_a_conversation_goes_with_what_its_journal_still_has_of_it(
    folder: Path, rows: Rows, erasures: Erasures
) -> None:
    writer = open_writer(folder)
    async with recording(RecorderOptions(folder, rows.url, "host")):
        first = write_exchange(writer, asked(b"canary-4711 one"))
        kept = write_exchange(writer, asked(b"harmless"))
        await until(lambda: _has(rows, 2))
        told = json.loads(ANSWER)["choices"][0]["message"]
        talk = [*json.loads(first.request)["messages"], told, {"role": "user", "content": "and canary-4711"}]
        late = Exchange(writer)
        late.ask(json.dumps({"model": "m", "messages": talk}).encode())
        late.head()
        asking = await erasures.request(Target(1, "conversation", str(uuid.UUID(bytes=first.id))))
        await asyncio.sleep(3)
        assert (await erasures.get(asking.id)).state == "erasing"  # type: ignore[union-attr]
        late.tell(ANSWER)
        late.end()
        writer.close()
        receipt = await done(erasures, asking.id)
    assert (receipt.counts["exchanges"], receipt.recorders[0].stopped) == (1, 1)
    await rows.check_recorded([kept])
    assert await places_of(rows.url, CANARY.decode()) == disk_holds(folder) == []


async def test_the_last_frames_are_waited_for_wherever_they_stand(
    folder: Path, rows: Rows, erasures: Erasures
) -> None:
    writer = open_writer(folder, segment_bytes=3_000)
    async with recording(RecorderOptions(folder, rows.url, "host")) as status:
        stream = Exchange(writer, user="ann")
        stream.ask(asked())
        stream.head()
        write_exchange(writer)
        await until(lambda: _has(rows, 1))
        asking = await erasures.request(Target(1, "user", "ann"))
        await asyncio.sleep(2.5)  # it was seen
        for _ in range(30):
            stream.tell(b"x" * 200)
            await asyncio.sleep(0.01)
        other = Exchange(writer, user="ben")  # holds the segment in which the stream ends
        stream.tell(CANARY)
        stream.end()
        await until(lambda: _is(status.erased == 1))
        await asyncio.sleep(4)
        assert len(disk_holds(folder)) == 1
        assert (await erasures.get(asking.id)).state == "waiting"  # type: ignore[union-attr]
        other.end()
        writer.close()
        await done(erasures, asking.id)
        assert disk_holds(folder) == []


async def test_a_user_who_goes_on_for_ever_holds_up_no_other_erasure(
    folder: Path, rows: Rows, erasures: Erasures
) -> None:
    writer = open_writer(folder, segment_bytes=3_000)
    async with recording(RecorderOptions(folder, rows.url, "host")) as status:
        write_exchange(writer, asked(b"harmless"), user="ben")
        await until(lambda: _has(rows, 1))
        await erasures.request(Target(1, "user", "ann", utc_now() + datetime.timedelta(days=1)))
        asking = await erasures.request(Target(1, "user", "ben"))

        async def is_done() -> bool:
            write_exchange(writer, asked(), user="ann")
            found = await erasures.get(asking.id)
            return found is not None and found.state == "done" and bool(found.recorders)

        await until(is_done, 18.0)
        assert status.erased > 20
        writer.close()
    assert await rows.count() == 0


async def test_every_recorder_is_waited_for(
    folder: Path, rows: Rows, erasures: Erasures, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    writers = [open_writer(each) for each in (folder, other)]
    options = [RecorderOptions(each, rows.url, each.name) for each in (folder, other)]
    async with recording(options[0]), recording(options[1]):
        write_exchange(writers[0], asked(), user="ann")
        stream = Exchange(writers[1], user="ann")
        stream.ask(asked())
        stream.head()
        await until(lambda: _has(rows, 1))
        asking = await erasures.request(Target(1, "user", "ann"))
        writers[0].close()

        async def one_is_done() -> bool:
            found = await erasures.get(asking.id)
            reported = sorted(each.done_at is not None for each in found.recorders) if found else []
            return found is not None and found.state == "waiting" and reported == [False, True]

        await until(one_is_done)
        stream.end()
        writers[1].close()
        receipt = await done(erasures, asking.id)
    assert sorted(each.stopped for each in receipt.recorders) == [0, 1]
    assert await places_of(rows.url, CANARY.decode()) == disk_holds(folder) == disk_holds(other) == []


async def test_an_eraser_whose_connections_are_cut_goes_on(
    folder: Path, rows: Rows, erasures: Erasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "PAGE_ROWS", 1)
    monkeypatch.setattr(erasing, "RETRY_SECONDS", 0.02)
    writer = open_writer(folder)
    async with recording(RecorderOptions(folder, rows.url, "host")):
        for number in range(60):
            write_exchange(writer, asked(b"canary-4711 %d" % number), user="ann")
        kept = write_exchange(writer, asked(b"harmless"))
        await until(lambda: _has(rows, 61))
        asking = await erasures.request(Target(1, "user", "ann"))
        cut = 0
        while (await erasures.get(asking.id)).erased_at is None:  # type: ignore[union-attr]
            await asyncio.sleep(0.15)
            cut += await rows.value(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'verbatim erasing' AND datname = current_database()"
            )
        writer.close()
        assert cut > 2
        receipt = await done(erasures, asking.id)
    assert receipt.counts["exchanges"] == 60
    assert await places_of(rows.url, CANARY.decode()) == []
    await rows.check_recorded([kept])


async def done_with_tables(erasures: Erasures, erasure_id: uuid.UUID) -> None:
    async def is_erased() -> bool:
        found = await erasures.get(erasure_id)
        return found is not None and found.erased_at is not None

    await until(is_erased)


async def _has(rows: Rows, number: int) -> bool:
    return await rows.count() >= number


async def _is(value: bool) -> bool:
    return value


async def _is_gone(path: Path) -> bool:
    return not path.exists()
