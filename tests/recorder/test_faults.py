from __future__ import annotations

import asyncio
import random
import signal
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.errors import JournalError
from app.exchange import FrameType
from app.journal.reader import JournalDirectory, SegmentReader
from app.recorder.files import ID_FILE, JournalFiles, identify_recorder
from app.recorder.process import RecorderOptions, make_recorder, run_recorder
from app.recorder.quarantine import QuarantineFolder
from app.recorder.status import RecorderStatus
from app.store.database.pool import Pool
from app.store.writing.ingest import Ingest
from app.store.writing.record import Record
from tests.recorder.conftest import recording, until
from tests.recorder.journals import Exchange, Rows, open_writer, write_exchange
from tests.recorder.postgres_proxy import gate
from tests.recorder.test_kill import drain, start
from tests.recorder.test_loop import check_accounts_per_writer, options_of, segments


class PoisonedIngest(Ingest):
    """PostgreSQL that refuses exchanges of one method, as it refuses NUL."""

    async def deliver(self, records: Any, accounts: Any = ()) -> Any:
        return await super().deliver([_poisoned(each) for each in records], accounts)


def _poisoned(record: Record) -> Record:
    if record.method != "PATCH":
        return record
    return replace(record, method="PATCH\0")


async def record_with(store: type[Ingest], folder: Path, rows: Rows, **quarantine: Any) -> RecorderStatus:
    """Runs a recorder over another store until it has drained."""
    directory = JournalDirectory(folder)
    files = JournalFiles(directory, "host")
    pool = Pool(rows.url)
    status = RecorderStatus()
    recorder = make_recorder(
        RecorderOptions(folder, rows.url, "host"), files, store(pool, files.recorder_id()), status
    )
    if quarantine:
        recorder._delivery._quarantine = QuarantineFolder(files, **quarantine)
    stop = asyncio.Event()
    stop.set()
    await recorder.run(stop)
    await pool.close()
    return status


async def test_a_thousand_exchanges_written_while_postgresql_is_away_are_all_recorded_once(
    folder: Path, rows: Rows
) -> None:
    writer = open_writer(folder, segment_bytes=100_000)
    async with gate(rows.url) as way:
        async with recording(options_of(folder, rows, url=way.url)) as status:
            exchanges = [write_exchange(writer)]
            await until(lambda: _met(status.rows == 1))
            way.close()
            exchanges += [write_exchange(writer, answer=b"%d" % n) for n in range(1_000)]
            await until(lambda: _met(status.errors >= 3))
            assert status.held_bytes < 8 << 20
            await until(lambda: _met(status.lag_seconds > 0.3 and status.journal_bytes > 200_000))
            way.open()
            await until(lambda: _met(status.rows == 1_001))
    writer.close()
    await rows.check(exchanges)


async def test_a_recorder_starts_and_stops_while_postgresql_is_away(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder)
    exchanges = [write_exchange(writer) for _ in range(3)]
    options = options_of(folder, rows, url="postgresql://x@127.0.0.1:1/x", drain_seconds=0.3)
    async with asyncio.timeout(5):
        async with recording(options) as status:
            await until(lambda: _met(status.errors > 0))
    assert len(segments(folder)) == 1
    writer.close()
    await drain(folder, rows)
    await rows.check(exchanges)


async def test_poison_goes_to_quarantine_with_all_its_frames_and_nobody_else_does(
    folder: Path, rows: Rows
) -> None:
    writer = open_writer(folder, segment_bytes=50_000)
    exchanges = [write_exchange(writer, method="PATCH" if n == 250 else "POST") for n in range(500)]
    writer.close()
    status = await record_with(PoisonedIngest, folder, rows)
    assert status.quarantined == 1
    await rows.check(exchanges[:250] + exchanges[251:])
    await check_accounts_per_writer(rows, 500)
    assert await rows.value("SELECT sum(quarantined) FROM segments") == 1
    assert segments(folder) == []
    (kept,) = (folder / "quarantine").iterdir()
    assert kept.name == f"{uuid.UUID(bytes=exchanges[250].id)}.frames"
    assert kept.stat().st_mode & 0o777 == 0o600
    reader = SegmentReader(JournalDirectory(folder / "quarantine"), kept.name)
    frames = reader.read()
    assert b"".join(each.payload for each in frames if each.kind == 4) == exchanges[250].answer
    assert [each.sequence for each in frames] == list(range(5))
    reader.close()


async def test_nothing_of_the_bodies_goes_to_quarantine_where_only_metadata_is_kept(
    folder: Path, rows: Rows
) -> None:
    writer = open_writer(folder)
    exchange = write_exchange(writer, method="PATCH", mode="metadata", answer=b"the-word-that-stays-here")
    writer.close()
    assert (await record_with(PoisonedIngest, folder, rows)).quarantined == 1
    (kept,) = (folder / "quarantine").iterdir()
    assert exchange.answer not in kept.read_bytes()
    assert exchange.request not in kept.read_bytes()


async def test_a_full_quarantine_keeps_the_segments(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder)
    exchanges = [write_exchange(writer, method=method) for method in ("POST", "PATCH", "POST")]
    writer.close()
    status = await record_with(PoisonedIngest, folder, rows, max_bytes=10)
    assert status.is_stuck
    assert len(segments(folder)) == 1
    await rows.check([exchanges[0], exchanges[2]])
    await drain(folder, rows)
    await rows.check(exchanges)


@pytest.mark.timeout(120)
async def test_a_body_of_200_mb_takes_no_memory_to_speak_of(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder)
    piece = random.Random(5).randbytes(1 << 18)
    small = write_exchange(writer)
    large = Exchange(writer)
    large.ask(b"{}")
    large.head()
    for number in range(800):
        data = number.to_bytes(4) + piece[4:]
        large.put(FrameType.RESPONSE_CHUNK, data)
    large.end()
    writer.close()
    peak = await _peak_of_drain(folder, rows)
    assert (
        await rows.value("SELECT response_bytes FROM exchanges WHERE id <> $1", uuid.UUID(bytes=small.id))
        == 0
    )
    size = "SELECT sum(raw_bytes) FROM pieces WHERE raw_bytes > 1000000"
    assert await rows.value(size) == 800 << 18
    assert peak < 200 << 20, peak >> 20


async def _peak_of_drain(folder: Path, rows: Rows) -> int:
    """The most memory that a recorder takes to drain the journal, in bytes."""
    process = await start(folder, rows)
    process.send_signal(signal.SIGTERM)
    peak = 0
    status = Path(f"/proc/{process.pid}/status")
    while process.returncode is None:
        if status.exists():
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM"):
                    peak = max(peak, int(line.split()[1]) << 10)
        await asyncio.sleep(0.02)
    assert process.returncode == 0
    return peak


async def test_a_segment_with_a_damaged_header_is_set_aside_and_accounted(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder, segment_bytes=1_000)
    exchanges = []
    for _ in range(3):
        exchanges.append(write_exchange(writer))
        await asyncio.sleep(0.3)
    writer.close()
    names = segments(folder)
    path = folder / names[1]
    content = path.read_bytes()
    path.write_bytes(b"\xff" * 60 + content[60:])
    async with recording(options_of(folder, rows)) as status:
        pass
    assert segments(folder) == []
    assert status.damaged_bytes == len(content)
    assert await rows.value("SELECT sum(damaged_bytes) FROM segments") == len(content)
    assert await rows.count() == 2
    assert (folder / "quarantine" / names[1]).stat().st_size == len(content)


async def test_any_flipped_byte_costs_at_most_one_exchange(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder)
    exchanges = [write_exchange(writer, answer=b"%d" % n * 30) for n in range(40)]
    writer.close()
    path = folder / segments(folder)[0]
    content = bytearray(path.read_bytes())
    chance = random.Random(11)
    place = chance.randrange(2_000, len(content) - 2_000)
    content[place] ^= 0x10
    path.write_bytes(bytes(content))
    async with recording(options_of(folder, rows)) as status:
        pass
    assert status.damaged_bytes > 0
    found = await rows.rows("SELECT id, capture_status FROM exchanges")
    assert {row["id"].bytes for row in found} <= {each.id for each in exchanges}
    assert len(found) >= 39


async def test_a_journal_has_one_recorder_and_it_keeps_its_name(folder: Path, rows: Rows) -> None:
    async with recording(options_of(folder, rows)) as status:
        await until(lambda: _met(status.is_ready))
        with pytest.raises(JournalError, match="another recorder"):
            await run_recorder(options_of(folder, rows), asyncio.Event())
    async with recording(options_of(folder, rows)) as status:
        await until(lambda: _met(status.is_ready))
    assert await rows.value("SELECT count(*) FROM recorders") == 1


async def test_clocks_that_differ_by_more_than_a_day_stop_delivery_and_nothing_else(
    folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OtherClock(Ingest):
        skew = 90_000.0

        async def clock_skew_seconds(self) -> float:
            return self.skew

    monkeypatch.setattr("app.recorder.loop.CLOCK_RECHECK_NS", 100_000_000)
    writer = open_writer(folder)
    exchanges = [write_exchange(writer) for _ in range(3)]
    files = JournalFiles(JournalDirectory(folder), "host")
    pool = Pool(rows.url)
    status = RecorderStatus()
    store = OtherClock(pool, files.recorder_id())
    stop = asyncio.Event()
    recorder = make_recorder(RecorderOptions(folder, rows.url, "host"), files, store, status)
    task = asyncio.get_running_loop().create_task(recorder.run(stop))
    await until(lambda: _met("clock" in (status.last_error or "")))
    assert await rows.count() == 0
    store.skew = 1.0
    await until(lambda: _met(status.rows == 3))
    stop.set()
    await task
    await pool.close()
    writer.close()
    await rows.check(exchanges)


async def test_what_ended_in_a_segment_that_is_gone_is_not_open_for_ever(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder, segment_bytes=2_000)
    pinning = Exchange(writer)
    pinning.head()
    spanning = Exchange(writer)
    spanning.head()
    spanning.tell(b"x" * 3_000)
    while len(segments(folder)) < 2:
        await asyncio.sleep(0.05)
    spanning.tell(b"y" * 3_000)
    spanning.end()
    async with recording(options_of(folder, rows)) as status:
        await until(lambda: _met(status.rows == 1))
        await until(lambda: _met(len(segments(folder)) == 2))
    async with recording(options_of(folder, rows)) as status:
        await until(lambda: _met(status.open_exchanges == 1))
        await asyncio.sleep(1.2)
        pinning.tell(b"z")
        pinning.end()
        await until(lambda: _met(status.rows == 1))
        await until(lambda: _met(len(segments(folder)) == 1))
    writer.close()
    await drain(folder, rows)
    await rows.check([pinning, spanning])
    await rows.check_accounts(2)


async def _met(value: bool) -> bool:
    return value


def test_a_journal_has_its_recorders_id_before_there_is_a_database(folder: Path) -> None:
    identify_recorder(folder, "host")
    kept = (folder / ID_FILE).read_text()
    identify_recorder(folder, "host")
    assert uuid.UUID(kept.strip()) == JournalFiles(JournalDirectory(folder), "host").recorder_id()
